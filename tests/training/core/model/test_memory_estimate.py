"""The estimate against the allocator, and what a run says where it cannot fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
)

from tests.support import ppo_runs
from tests.support.memory import peak_bytes, storage_bytes
from training.contracts import EXIT_USER, AdapterConfig, Sampling
from training.core.model import memory_estimate
from training.core.model.lora import adapter_add, trainable_parameters
from training.core.model.memory_estimate import (
    Estimate,
    Job,
    NetworkShape,
    available_bytes,
    estimate,
    memory_check,
    shape_at,
    shape_of,
)
from training.core.model.recompute import recompute_layers
from training.core.rollout.generation import generate
from training.core.run.errors import UserError
from training.core.tuning import materials
from training.recipes import ppo

CPU = torch.device("cpu")
WORDS, WIDTH, LAYERS = 1500, 96, 4
FACTOR = 2.0  # what the module and the documentation promise


def llama() -> Any:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=256, num_hidden_layers=LAYERS,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            bos_token_id=None, eos_token_id=2, pad_token_id=0,
        )
    )  # fmt: skip


def gpt2() -> Any:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=WORDS, n_embd=WIDTH, n_layer=LAYERS, n_head=4, n_positions=256,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip


def bert() -> Any:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=256, num_hidden_layers=LAYERS,
            num_attention_heads=4, max_position_embeddings=256, num_labels=1,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip


def train_twice(model: Any, rows: int, length: int) -> None:
    """Two optimiser steps: from the second one on, AdamW's moments are there."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(3, WORDS, (rows, length), generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        result = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        if result.logits.dim() == 3:
            loss = functional.cross_entropy(result.logits.view(-1, WORDS), ids.view(-1))
        else:
            loss = result.logits.square().mean()
        del result
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("make", [llama, gpt2, bert])
def test_training_takes_what_the_estimate_says_within_its_factor(
    make: Any, recompute: bool
) -> None:
    model, speaks = make(), make is not bert
    job = Job(rows=8, length=64, logits=64 if speaks else 0, recompute=recompute)
    found = estimate([shape_of(model, speaks=speaks)], [], job)
    assert found.weights == storage_bytes(model)
    if recompute:
        recompute_layers(model)
    measured = storage_bytes(model) + peak_bytes(lambda: train_twice(model, 8, 64))
    assert 1 / FACTOR < found.total / measured < FACTOR, (found, measured)


def test_sampling_takes_what_the_estimate_says_within_its_factor() -> None:
    model = llama()
    sampling = Sampling(max_new_tokens=24, batch_size=32)
    prompts = [[3, 4, 5, 6, 7, 8, 9, 10] * 5] * 32
    job = Job(sampled_rows=32, sampled_length=64)
    found = estimate([], [shape_of(model, speaks=True)], job)
    measured = peak_bytes(
        lambda: generate(
            model, prompts, seeds=list(range(32)), sampling=sampling, pad_id=0, end_ids=[2]
        )
    )
    assert 1 / FACTOR < found.cache / measured < FACTOR, (found, measured)


def test_of_sizes_that_differ_between_layers_the_largest_counts() -> None:
    model = llama()
    plain = shape_of(model, speaks=True)
    for name in ("intermediate_size", "num_attention_heads", "num_key_value_heads"):
        object.__setattr__(model.config, name, [1, getattr(model.config, name)])
    assert shape_of(model, speaks=True) == plain


def test_every_part_is_its_formula() -> None:
    trained = NetworkShape(
        parameters=1000, layers=2, hidden=8, feed_forward=16, keys=4, vocabulary=50
    )
    frozen = NetworkShape(parameters=300, layers=1, hidden=8, feed_forward=16, keys=8, vocabulary=0)
    job = Job(
        rows=3, length=10, logits=5, sampled_rows=7, sampled_length=20,
        scored_rows=4, scored_logits=6, number=2,
    )  # fmt: skip
    found = estimate([trained], [frozen], job)
    assert found.weights == 4 * 1300
    assert (found.gradients, found.optimizer) == (4 * 1000, 8 * 1000)
    assert found.activations == 3 * 10 * 2 * (16 * 8 + 4 * 16) * 2
    assert found.logits == 3 * 4 * 3 * 5 * 50
    assert found.cache == 2 * 2 * 2 * 4 * 7 * 20 * 2
    assert found.scoring == 3 * 4 * 4 * 6 * 50
    passing = max(found.activations + found.logits, found.cache, found.scoring)
    assert found.total == 4 * 1300 + 12 * 1000 + passing
    again = estimate([trained], [frozen], Job(rows=3, length=10, recompute=True))
    assert again.activations == 3 * 10 * (8 * 2 + 16 * 8 + 4 * 16) * 4


def test_what_learns_is_divided_by_its_parts_and_made_whole_to_sample() -> None:
    trained = NetworkShape(
        parameters=1001, layers=2, hidden=8, feed_forward=16, keys=4, vocabulary=50
    )
    frozen = NetworkShape(parameters=300, layers=1, hidden=8, feed_forward=16, keys=8, vocabulary=0)
    found = estimate(
        [trained], [frozen], Job(sampled_rows=7, sampled_length=20, number=2), shards=4
    )
    assert found.weights == 4 * (251 + 300)
    assert (found.gradients, found.optimizer) == (4 * 251, 8 * 251)
    assert found.gathered == 2 * 1001
    assert found.total == 4 * 551 + 12 * 251 + 2 * 1001 + found.cache
    with_adapter = replace(trained, adapter=41)
    found = estimate([with_adapter], [], Job(), shards=4)
    assert found.weights == 4 * (1001 + 41 + 2) // 4  # rounded up
    assert (found.gradients, found.optimizer) == (4 * 11, 8 * 11)


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("targets", [(), ("q_proj", "down_proj")])
def test_an_adapter_is_as_large_as_the_one_that_is_put_in(make: Any, targets: Any) -> None:
    settings, model = AdapterConfig(kind="lora", rank=3, targets=targets), make()
    if targets and make is gpt2:
        settings = replace(settings, targets=())
    shape = shape_of(model, speaks=True, adapter=settings)
    adapter_add(model, settings, seed=0)
    assert shape.adapter == sum(p.numel() for p in trainable_parameters(model)) > 0
    found = estimate([shape], [], Job())
    assert found.weights == storage_bytes(model)
    assert (found.gradients, found.optimizer) == (4 * shape.adapter, 8 * shape.adapter)


def test_sizes_are_read_without_a_weight(tmp_path: Path) -> None:
    model = llama()
    model.config.save_pretrained(tmp_path)
    assert shape_at(str(tmp_path), speaks=True) == shape_of(model, speaks=True)
    assert shape_of(model, speaks=True).keys == 2 * 24
    scorer = shape_at(str(tmp_path), speaks=False)
    assert scorer.vocabulary == 0
    assert scorer.parameters == sum(p.numel() for p in model.model.parameters()) + WIDTH


def test_what_is_there_is_above_0_and_shared_by_the_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_estimate, "_memory_free", lambda: 900)
    monkeypatch.setattr(memory_estimate, "_container_free", lambda: 600)
    assert available_bytes(CPU) == 600
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert available_bytes(CPU) == 300
    monkeypatch.undo()
    assert available_bytes(CPU) > 1e6


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    free = memory_estimate._container_free
    assert free(tmp_path) == 1 << 62
    (tmp_path / "memory.current").write_text("400\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free(tmp_path) == 1 << 62
    (tmp_path / "memory.max").write_text("1000\n")
    assert free(tmp_path) == 600


GB = 10**9


@pytest.mark.parametrize(
    ("parts", "fix"),
    [
        ((2, 2, 4, 30, 1, 3), "lower micro_batch_size, or set gradient_checkpointing"),
        ((2, 2, 4, 1, 30, 3), "lower micro_batch_size;"),
        ((2, 0, 0, 1, 1, 30), "lower sampling.batch_size"),
        ((2, 0, 0, 1, 1, 3, 30), "lower micro_batch_size;"),
        ((2, 1, 2, 1, 1, 3, 1, 30), "take a smaller model, or more memory"),
        ((20, 20, 40, 1, 1, 1), "take a smaller model, or more memory"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_fix_for_its_largest_part(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[int, ...], fix: str
) -> None:
    monkeypatch.setattr(memory_estimate, "available_bytes", lambda device: 8 * GB)
    found = Estimate(*(part * GB for part in parts))
    with pytest.raises(UserError, match=fix) as refused:
        memory_check(found, device=CPU)
    assert f"About {found.total / GB:.1f} GB" in str(refused.value)
    assert "the machine has 8.0 GB free" in str(refused.value)
    assert "OUTERLOOP_MEMORY_CHECK=warn" in str(refused.value)


def test_the_check_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_estimate, "available_bytes", lambda device: 8 * GB)
    found = Estimate(20 * GB, 0, 0, 0, 0, 0)
    monkeypatch.setenv("OUTERLOOP_MEMORY_CHECK", "warn")
    assert memory_check(found, device=CPU).endswith("it will not fit.")
    monkeypatch.setenv("OUTERLOOP_MEMORY_CHECK", "off")
    assert "will not" not in memory_check(found, device=CPU)
    monkeypatch.setenv("OUTERLOOP_MEMORY_CHECK", "perhaps")
    with pytest.raises(UserError, match="set it to refuse, warn, off"):
        memory_check(found, device=CPU)


def test_a_ppo_run_is_refused_before_a_weight_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ppo_runs.write_policy(tmp_path / "policy")
    prompts = ppo_runs.write_prompts(tmp_path / "prompts.jsonl")
    inputs = {"policy": policy, "reference": policy, "prompts": prompts}
    spec = ppo_runs.write_order(tmp_path / "run", ppo_runs.tiny_config(), inputs)
    monkeypatch.setattr(memory_estimate, "available_bytes", lambda device: 100_000)
    monkeypatch.setattr(
        materials, "policy_load_path", lambda path: pytest.fail("weights were read")
    )
    assert ppo.main([str(spec)]) == EXIT_USER
    said = json.loads((tmp_path / "run" / "error.json").read_text())["message"]
    assert "of memory are needed" in said


def test_a_configuration_that_names_no_sizes_is_taken_at_its_least():
    class Bare(torch.nn.Module):
        """A network of somebody's own: a configuration without the usual names."""

        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(30, 8)
            self.config = PreTrainedConfig()

        def get_input_embeddings(self) -> torch.nn.Embedding:
            return self.words

    shape = shape_of(Bare(), speaks=True)
    assert shape == NetworkShape(
        parameters=240, layers=1, hidden=8, feed_forward=32, keys=8, vocabulary=30
    )
