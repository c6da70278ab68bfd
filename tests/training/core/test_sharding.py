"""Parts of a network and its whole: one process that holds the only part."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor
from transformers import LlamaConfig, LlamaForCausalLM

from training.contracts import AdapterConfig
from training.core.model.lora import AdapterOff, adapter_add, trainable_parameters
from training.core.sharding import (
    clip_gradients,
    gathered,
    is_sharded,
    module_load,
    optimizer_load,
    parameters_cast,
    shard,
    whole,
    whole_on_cpu,
)
from training.core.tuning.checkpoint_selection import weights_load

IDS = torch.arange(12).view(2, 6)
EXACT = torch.float32


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceMesh]:
    store = tmp_path_factory.mktemp("group") / "store"
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def llama(*, tied: bool = False) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=16, tie_word_embeddings=tied,
        )
    ).eval()  # fmt: skip


def learn(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(input_ids=IDS, labels=IDS).loss.backward()
    clip_gradients(model.parameters(), 0.5)
    optimizer.step()


def adamw(model: torch.nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)


@pytest.mark.parametrize("tied", [False, True])
def test_a_sharded_network_learns_the_same_and_the_plain_one_shows_it(
    mesh: DeviceMesh, tied: bool
) -> None:
    ordinary, plain = llama(tied=tied), llama(tied=tied)
    sharded = shard(plain, mesh)
    assert is_sharded(sharded)
    assert type(plain) is LlamaForCausalLM
    assert all(isinstance(p, DTensor) for p in sharded.parameters())
    assert all(p.is_meta for p in plain.parameters())
    assert all(is_sharded(layer) for layer in sharded.get_submodule("model.layers").children())
    optimizers = adamw(ordinary), adamw(sharded)
    for _ in range(3):
        learn(ordinary, optimizers[0])
        learn(sharded, optimizers[1])
    with whole(plain, sharded, dtype=EXACT):
        assert (plain.lm_head.weight is plain.model.embed_tokens.weight) == tied
        torch.testing.assert_close(plain.state_dict(), ordinary.state_dict())
        torch.testing.assert_close(plain(IDS).logits, ordinary(IDS).logits)
    assert all(p.is_meta for p in plain.parameters())


def test_a_whole_state_brings_another_network_to_the_same_next_step(mesh: DeviceMesh) -> None:
    """Into parts, and into a network that is not sharded: a checkpoint says nothing of parts."""
    sharded = shard(llama(), mesh)
    optimizer = adamw(sharded)
    learn(sharded, optimizer)
    present = {"m": sharded.state_dict(), "o": optimizer.state_dict()}
    state = copy.deepcopy(gathered(present))
    assert not any(isinstance(t, DTensor) for t in state["m"].values())
    learn(sharded, optimizer)
    expected = gathered(sharded.state_dict())
    for other in (shard(llama(), mesh), llama()):
        its = adamw(other)
        module_load(other, state["m"])
        optimizer_load(its, copy.deepcopy(state["o"]))
        learn(other, its)
        found = gathered(other.state_dict())
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_process_that_does_not_write_keeps_no_whole_tensor(
    mesh: DeviceMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = llama()
    sharded = shard(plain, mesh)
    monkeypatch.setattr(DeviceMesh, "get_rank", lambda mesh: 1)
    state = gathered({"m": sharded.state_dict(), "step": 3, "names": ("a", [1.5])})
    assert set(state["m"].values()) == {None}
    assert (state["step"], state["names"]) == (3, ("a", [1.5]))
    with whole_on_cpu(plain, sharded):
        assert all(p.is_meta for p in plain.parameters())


def test_a_state_of_other_weights_is_refused(mesh: DeviceMesh) -> None:
    sharded = shard(llama(), mesh)
    state = gathered(sharded.state_dict())
    state["more"] = state.pop("model.norm.weight")
    with pytest.raises(KeyError, match=r"model\.norm\.weight"):
        module_load(sharded, state)


def test_weights_are_kept_in_parts_and_put_back(mesh: DeviceMesh) -> None:
    sharded = shard(llama(), mesh)
    kept = [p.detach().to("cpu", copy=True) for p in sharded.parameters()]
    assert all(isinstance(part, DTensor) for part in kept)
    before = gathered([p.clone() for p in sharded.parameters()])
    learn(sharded, adamw(sharded))
    weights_load(list(sharded.parameters()), kept)
    after = gathered([p.detach() for p in sharded.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_in_bfloat16_parts_and_gradients_stay_in_float32(mesh: DeviceMesh) -> None:
    plain = llama()
    sharded = shard(plain, mesh, dtype=torch.bfloat16)
    result = sharded(input_ids=IDS, labels=IDS)
    assert result.logits.dtype == torch.bfloat16
    result.loss.backward()
    assert {(p.dtype, p.grad.dtype) for p in sharded.parameters() if p.grad is not None} == {
        (torch.float32, torch.float32)
    }
    with whole(plain, sharded, dtype=torch.bfloat16):
        # The pass that scores is the pass that learns.
        assert torch.equal(plain(IDS).logits, result.logits)
        assert plain.model.rotary_emb.inv_freq.dtype == torch.float32
    with whole_on_cpu(plain, sharded):
        assert all(p.dtype == torch.float32 for p in plain.parameters())


def test_a_frozen_network_is_cast_without_its_tables() -> None:
    model = llama()
    parameters_cast(model, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_an_adapter_learns_alone_and_switched_off_is_the_reference(mesh: DeviceMesh) -> None:
    plain = llama()
    before = plain(IDS).logits.detach()
    adapter_add(plain, AdapterConfig(kind="lora", rank=2), seed=1)
    reference = AdapterOff(plain)
    sharded = shard(plain, mesh)
    optimizer = torch.optim.AdamW(trainable_parameters(sharded), lr=0.1)
    for _ in range(2):
        learn(sharded, optimizer)
    with whole(plain, sharded, dtype=EXACT), torch.no_grad():
        assert torch.equal(reference(input_ids=IDS).logits, before)
        assert not torch.allclose(plain(IDS).logits, before, atol=1e-4)
        assert len(trainable_parameters(plain)) == len(trainable_parameters(sharded)) == 28
