"""An adapter in supervised fine-tuning, and PPO that remembers what it was shown (PPO-ptx)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support import ppo_runs
from tests.support.encoding import demonstration
from tests.support.optimiser_runs import manifest, message
from training.contracts import (
    EXIT_USER,
    AdapterConfig,
    InputRef,
    JsonContract,
    ModelSource,
    RunSpec,
    SftConfig,
    SftPhase,
)
from training.core.data.conversations import Encoded
from training.core.data.randomness import PromptOrder
from training.core.model.loading import policy_load_path
from training.core.model.supervised import assistant_loss
from training.core.ppo.demonstrations import DemonstrationFeed
from training.core.run.run_directory import recipe_main
from training.digests import path_sha256
from training.recipes import ppo, sft

ANSWERS = ["blue", "one two three", "cat", "yes", "sun", "no"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("inputs")
    policy = ppo_runs.write_policy(root / "policy")
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in zip(ppo_runs.QUESTIONS, ANSWERS, strict=True)
    ]
    shown = root / "demonstrations.jsonl"
    shown.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = ppo_runs.write_prompts(root / "prompts.jsonl")
    return {"policy": policy, "reference": policy, "prompts": prompts, "demonstrations": shown}


def order(directory: Path, kind: Any, inputs: dict[str, Path], config: JsonContract) -> list[str]:
    directory.mkdir()
    references = {n: InputRef(str(path), path_sha256(path)) for n, path in inputs.items()}
    spec = RunSpec("test", kind, 3, references, config.to_json())
    (directory / "spec.json").write_text(json.dumps(spec.to_json()))
    return [str(directory / "spec.json")]


def shown_loss(policy: Path, demonstrations: Path) -> float:
    """Nats per token of the demonstrations."""
    loaded = policy_load_path(policy)
    rows = [json.loads(line)["messages"] for line in demonstrations.read_text().splitlines()]
    encoded = [demonstration(loaded.tokenizer, row, max_length=64) for row in rows]
    with torch.no_grad():
        loss = assistant_loss(loaded.model, encoded, loaded.pad_id)
    return float(loss.total) / loss.tokens


def sft_config(**changes: Any) -> SftConfig:
    settings: dict[str, Any] = {
        "model": ModelSource(kind="input", name="policy"),
        "phases": (SftPhase("demonstrations", 12, 2e-2, batch_size=6, warmup_steps=2),),
        "max_length": 64,
        "adapter": AdapterConfig(kind="lora", rank=4),
    }
    return SftConfig(**(settings | changes))


def test_supervised_fine_tuning_through_an_adapter_leaves_an_ordinary_policy(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    given = {name: inputs[name] for name in ("policy", "demonstrations")}
    argv = order(tmp_path / "run", "sft", given, sft_config())
    assert recipe_main(sft.main, "sft", SftConfig, argv) == 0
    before = load_file(inputs["policy"] / "model.safetensors")
    after = load_file(tmp_path / "run" / "policy" / "model.safetensors")
    assert after.keys() == before.keys()
    assert torch.equal(after["lm_head.weight"], before["lm_head.weight"])
    results = manifest(tmp_path / "run").results
    assert 0 < results["trained_parameters"] < sum(w.numel() for w in after.values()) / 5
    assert manifest(tmp_path / "run").artifact("adapter").kind == "adapter"
    shown = inputs["demonstrations"]
    assert (
        shown_loss(tmp_path / "run" / "policy", shown) < shown_loss(inputs["policy"], shown) - 0.1
    )


def test_an_adapter_on_a_fresh_model_is_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    fresh = sft_config(model=ModelSource(kind="fresh", hidden_size=16, layers=1, heads=2))
    given = {"demonstrations": inputs["demonstrations"]}
    argv = order(tmp_path / "run", "sft", given, fresh)
    assert recipe_main(sft.main, "sft", SftConfig, argv) == EXIT_USER
    assert "a fresh model has none yet" in message(tmp_path / "run")


# ------------------------------------------------------------------------- PPO-ptx


def ppo_run(directory: Path, inputs: dict[str, Path], coefficient: float) -> int:
    config = ppo_runs.tiny_config(
        policy_learning_rate=1e-2, ptx_coefficient=coefficient, ptx_batch_size=6
    )
    return ppo.main(order(directory, "ppo", inputs, config))


def test_a_policy_that_sees_demonstrations_remembers_them(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    losses = {}
    for coefficient in (0.0, 1.0):
        directory = tmp_path / str(coefficient)
        assert ppo_run(directory, inputs, coefficient) == 0
        losses[coefficient] = shown_loss(directory / "policy", inputs["demonstrations"])
    assert losses[1.0] < losses[0.0] - 0.1
    with_ptx = ppo_runs.events(tmp_path / "1.0", "ppo")
    assert with_ptx[-1]["metrics"]["ptx_loss"] < with_ptx[0]["metrics"]["ptx_loss"]
    without = ppo_runs.events(tmp_path / "0.0", "ppo")
    assert "ptx_loss" not in without[0]["metrics"]


def test_demonstrations_that_are_asked_for_and_missing_are_named(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    rest = {name: path for name, path in inputs.items() if name != "demonstrations"}
    assert ppo_run(tmp_path / "run", rest, 0.5) == EXIT_USER
    assert "the input 'demonstrations' is missing" in message(tmp_path / "run")


def test_processes_share_a_step_s_demonstrations_and_every_one_comes_up_once_a_pass() -> None:
    rows = [Encoded((i, i), (False, True)) for i in range(8)]

    def batch(step: int, rank: int, processes: int) -> list[int]:
        feed = DemonstrationFeed(rows, PromptOrder(8, seed=1), 4, rank, processes)
        return [row.ids[0] for row in feed.batch(step)]

    alone = [batch(step, 0, 1) for step in (0, 1)]
    assert sorted(alone[0] + alone[1]) == list(range(8))
    assert batch(1, 0, 2) + batch(1, 1, 2) == alone[1]
