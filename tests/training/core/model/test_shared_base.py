"""One copy of frozen weights: how it is recognised, and what stands on it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.support.tiny_models import tiny_policy
from training.contracts import AdapterConfig
from training.core.model.lora import adapter_add
from training.core.model.shared_base import BasePool, base_weights, network_view

LORA = AdapterConfig(kind="lora", rank=2)


def test_the_digest_is_of_values_names_and_shapes_and_not_of_an_adapter() -> None:
    model = tiny_policy().model.model
    first = base_weights(model).sha256()
    assert base_weights(tiny_policy().model.model).sha256() == first
    assert base_weights(tiny_policy(seed=1).model.model).sha256() != first
    adapter_add(model, LORA, seed=3)
    assert base_weights(model).sha256() == first
    with torch.no_grad():
        model.norm.weight[0] += 1e-6
    assert base_weights(model).sha256() != first
    one, other = nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)
    other.weight.data = one.weight.data.reshape(2, 3)
    assert base_weights(one).sha256() != base_weights(other).sha256()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_digest_of_what_will_be_saved_is_that_of_what_is_read(dtype: torch.dtype) -> None:
    model = tiny_policy().model.model
    told = base_weights(model).sha256(dtype)
    assert told != base_weights(model).sha256()
    assert base_weights(model.to(dtype).float()).sha256() == told


def test_a_pool_looks_at_what_it_was_offered_when_it_is_asked() -> None:
    model, other = tiny_policy().model.model, tiny_policy(seed=1).model.model
    pool = BasePool()
    pool.offer(model)
    pool.offer(other)
    found = pool.get(base_weights(model).sha256())
    assert found is not None
    assert found.parameters["norm.weight"] is model.norm.weight
    assert pool.get(base_weights(other).sha256()) is not None
    assert pool.get("0" * 64) is None


def test_tied_weights_stay_tied_in_a_copy() -> None:
    model = tiny_policy().model.model
    model.layers[1].self_attn.q_proj.weight = model.layers[0].self_attn.q_proj.weight
    copied = base_weights(model).copied().parameters
    names = [f"layers.{layer}.self_attn.q_proj.weight" for layer in (0, 1)]
    assert copied[names[0]] is copied[names[1]]
    assert copied[names[0]] is not model.layers[0].self_attn.q_proj.weight


def test_a_view_shares_what_is_frozen_and_copies_what_learns() -> None:
    model = tiny_policy().model
    adapter_add(model, LORA, seed=3)
    view = dict(network_view(model).named_parameters())
    for name, parameter in model.named_parameters():
        assert (view[name] is parameter) is not parameter.requires_grad
