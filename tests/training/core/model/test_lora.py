"""Adapters: nothing at the start, off whenever asked, an ordinary model in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from tests.support import ppo_runs
from tests.support.documented import assert_said
from tests.support.rare_models import rare_decoder
from training.contracts import AdapterConfig
from training.core.model.lora import (
    AdapterOff,
    adapter_add,
    adapter_check,
    adapter_merge,
    adapter_save,
    adapter_size,
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
    plain = {name: tensor.clone() for name, tensor in merged_weights(policy)}
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


# ------------------------------------------------------------------ other architectures


def rare(name: str) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return rare_decoder(name, 60).eval()


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe", "gpt_oss", "gpt2"])
def test_a_mixture_of_experts_takes_the_default_adapter_and_comes_out_whole(
    name: str, tmp_path: Path
) -> None:
    """Experts that are slices of one tensor stay as they are; attention learns."""
    policy = rare(name)
    size, shapes = adapter_size(policy, LORA), {n: t.shape for n, t in policy.state_dict().items()}
    adapter_add(policy, LORA, seed=3)
    assert sum(p.numel() for p in trainable_parameters(policy)) == size > 0
    move(policy)
    moved = logits(policy)
    adapter_save(policy, tmp_path)
    adapter_merge(policy)
    assert {n: t.shape for n, t in policy.state_dict().items()} == shapes
    torch.testing.assert_close(logits(policy), moved, atol=1e-5, rtol=0)
    loaded = PeftModel.from_pretrained(rare(name), str(tmp_path))
    torch.testing.assert_close(logits(loaded), moved, atol=1e-5, rtol=0)
    policy.save_pretrained(tmp_path / "merged")
    again = type(policy).from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(logits(again), moved, atol=1e-5, rtol=0)


def test_layers_whose_names_mean_experts_are_refused_before_anything_is_trained() -> None:
    policy = rare("qwen3_moe")
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    named = AdapterConfig(kind="lora", targets=("q_proj", "down_proj"))
    with pytest.raises(UserError) as refusal:
        adapter_add(policy, named, seed=0)
    assert_said("adapter that cannot be merged", str(refusal.value))
    assert not has_adapter(policy)
    assert policy.state_dict().keys() == before.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.state_dict().items())


def test_the_check_needs_no_memory_and_leaves_the_model_as_it_is(policy: Any) -> None:
    names, learning = list(policy.state_dict()), trainable_parameters(policy)
    adapter_check(policy, LORA)
    assert list(policy.state_dict()) == names
    assert trainable_parameters(policy) == learning
    adapter_check(policy.to("meta"), LORA)


def test_the_layers_of_a_gpt2_can_be_named() -> None:
    policy = rare("gpt2")
    adapter_add(policy, AdapterConfig(kind="lora", targets=("c_attn",)), seed=0)
    assert all("c_attn" in n for n, p in policy.named_parameters() if p.requires_grad)


def test_weights_that_layers_share_are_not_adapted() -> None:
    """Each place would merge its part into the one matrix."""
    policy = rare("granite")
    first, second = policy.model.layers
    second.self_attn.q_proj.weight = first.self_attn.q_proj.weight
    with pytest.raises(UserError) as refusal:
        adapter_add(policy, LORA, seed=0)
    assert_said("adapter on shared weights", str(refusal.value))
    adapter_check(policy, AdapterConfig(kind="lora", targets=("k_proj",)))


def test_an_output_layer_that_shares_its_weights_is_not_adapted() -> None:
    """Merged, the embeddings would change with it."""
    with pytest.raises(UserError) as refusal:
        adapter_add(rare("gpt2"), AdapterConfig(kind="lora", targets=("lm_head",)), seed=0)
    assert_said("adapter on a shared output", str(refusal.value))
