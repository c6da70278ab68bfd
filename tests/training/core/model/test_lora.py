"""Adapters: nothing at the start, off whenever asked, an ordinary model in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from tests.support import ppo_runs
from training.contracts import AdapterConfig
from training.core.model.lora import (
    AdapterOff,
    adapter_add,
    adapter_merge,
    adapter_save,
    has_adapter,
    merged_weights,
    trainable_parameters,
)
from training.core.run.artifacts import directory_write
from training.core.run.errors import UserError

LORA = AdapterConfig(kind="lora", rank=4)
IDS = torch.arange(5, 25).view(2, 10)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS).logits
        return found


@pytest.fixture
def policy() -> Any:
    return ppo_runs.tiny_policy().model


@pytest.fixture
def before(policy: Any) -> torch.Tensor:
    return logits(policy)


def move(model: Any) -> None:
    """Give the adapter some weights, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainable_parameters(model):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def test_a_new_adapter_changes_nothing(policy: Any, before: torch.Tensor) -> None:
    adapter_add(policy, LORA, seed=3)
    assert torch.equal(logits(policy), before)


def test_only_the_adapter_is_trained(policy: Any) -> None:
    total = sum(p.numel() for p in policy.parameters())
    adapter_add(policy, LORA, seed=3)
    names = {name for name, p in policy.named_parameters() if p.requires_grad}
    assert names
    assert all("lora_" in name for name in names)
    assert not any("lm_head" in name for name in names)
    assert sum(p.numel() for p in trainable_parameters(policy)) < total / 5


def test_switched_off_it_is_the_reference(policy: Any, before: torch.Tensor) -> None:
    reference = AdapterOff(policy)
    adapter_add(policy, LORA, seed=3)
    trained = trainable_parameters(policy)
    move(policy)
    moved = logits(policy)
    assert float((moved - before).abs().max()) > 0.1
    torch.testing.assert_close(logits(reference), before, atol=1e-6, rtol=0)
    with torch.inference_mode():
        reference(input_ids=IDS)
    assert torch.equal(logits(policy), moved)  # on again
    assert trainable_parameters(policy) == trained  # and learning again


def test_merged_it_is_an_ordinary_model_that_says_the_same(policy: Any) -> None:
    names = set(policy.state_dict())
    adapter_add(policy, LORA, seed=3)
    move(policy)
    moved = logits(policy)
    adapter_merge(policy)
    assert not has_adapter(policy)
    assert set(policy.state_dict()) == names
    torch.testing.assert_close(logits(policy), moved, atol=1e-5, rtol=0)
    assert len(trainable_parameters(policy)) == len(list(policy.parameters()))


def test_the_adapter_alone_fits_on_the_policy_that_training_began_with(
    policy: Any, tmp_path: Path
) -> None:
    adapter_add(policy, LORA, seed=3)
    move(policy)
    moved = logits(policy)
    first = directory_write(tmp_path / "adapter", lambda at: adapter_save(policy, at))
    loaded = PeftModel.from_pretrained(ppo_runs.tiny_policy().model, str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(loaded), moved, atol=1e-6, rtol=0)
    again = directory_write(tmp_path / "again", lambda at: adapter_save(policy, at))
    assert again.sha256 == first.sha256


def test_its_first_weights_follow_from_the_seed_and_draw_nothing_else(policy: Any) -> None:
    torch.manual_seed(11)
    wanted = torch.rand(1)
    torch.manual_seed(11)
    adapter_add(policy, LORA, seed=3)
    assert torch.equal(torch.rand(1), wanted)
    other = ppo_runs.tiny_policy().model
    adapter_add(other, LORA, seed=3)
    for mine, theirs in zip(policy.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_named_layers_alone_are_adapted(policy: Any) -> None:
    adapter_add(policy, AdapterConfig(kind="lora", targets=("q_proj",)), seed=0)
    assert all("q_proj" in n for n, p in policy.named_parameters() if p.requires_grad)


def test_a_layer_that_is_not_there_is_named(policy: Any) -> None:
    with pytest.raises(UserError, match=r"'c_attn'.*q_proj"):
        adapter_add(policy, AdapterConfig(kind="lora", targets=("c_attn",)), seed=0)


def test_merged_weights_are_those_that_merging_leaves_and_nothing_is_merged(policy: Any) -> None:
    plain = dict(merged_weights(policy))
    assert plain.keys() == dict(policy.named_parameters()).keys()
    adapter_add(policy, LORA, seed=3)
    move(policy)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    found = dict(merged_weights(policy))
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.state_dict().items())
    adapter_merge(policy)
    expected = policy.state_dict()
    assert found.keys() == plain.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0)
    moved = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(found[moved], plain[moved])


def test_tied_weights_come_once(policy: Any) -> None:
    policy.config.tie_word_embeddings = True
    policy.lm_head.weight = policy.model.embed_tokens.weight
    names = [name for name, _ in merged_weights(policy)]
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names
