"""Micro-batches, gradient checkpointing and a second process change rounding, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.recipes import events, manifest, recipe_run_on_two
from tests.training.recipes import test_reward_model, test_sft
from training.contracts import EXIT_USER, RewardModelConfig
from training.core.reward.forward import score_rows
from training.core.run.run_directory import recipe_main
from training.recipes import reward_model, runtime

WEIGHTS = {"sft": "policy", "reward_model": "reward_model/member_0"}
CHANGES: dict[str, dict[str, Any]] = {
    "sft": {},
    "reward_model": {"members": 1, "epochs": 1, "learning_rate": 1e-3},
}


def order(folder: Path, kind: str, name: str, **changes: Any) -> Path:
    module: Any = test_sft if kind == "sft" else test_reward_model
    spec: Path = module.spec_of(folder, name, **(CHANGES[kind] | changes))
    return spec


def learn(spec: Path, kind: str) -> int:
    torch.set_num_threads(1)
    if kind == "sft":
        return int(test_sft.run_sft(spec))
    return recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)])


def weights(spec: Path, kind: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(spec.parent / WEIGHTS[kind] / "model.safetensors")
    return found


def same_but_for_rounding(one: Path, other: Path, kind: str) -> None:
    first, second = weights(one, kind), weights(other, kind)
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize("kind", ["sft", "reward_model"])
def test_accumulated_gradients_take_the_same_steps_to_the_same_weights(
    tmp_path: Path, kind: str
) -> None:
    whole = order(tmp_path, kind, "whole")
    parts = order(tmp_path, kind, "parts", micro_batch_size=2)
    spare = order(tmp_path, kind, "spare", micro_batch_size=3, gradient_checkpointing=True)
    assert [learn(spec, kind) for spec in (whole, parts, spare)] == [0, 0, 0]
    same_but_for_rounding(whole, parts, kind)
    same_but_for_rounding(whole, spare, kind)
    steps = [[e["step"] for e in events(spec) if "train" in e["phase"]] for spec in (whole, parts)]
    assert steps[0] == steps[1]
    losses = [
        [e["metrics"]["loss"] for e in events(spec) if "train" in e["phase"]]
        for spec in (whole, parts)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_mixed_precision_reaches_reward_models_packed_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixed_precision: None, packed: bool
) -> None:
    seen = list[bool]()

    def watched(*arguments: Any, **options: Any) -> torch.Tensor:
        seen.append(torch.is_autocast_enabled("cuda" if torch.cuda.is_available() else "cpu"))
        return score_rows(*arguments, **options)

    monkeypatch.setattr("training.recipes.reward_member.score_rows", watched)
    assert learn(order(tmp_path, "reward_model", "run", packed=packed), "reward_model") == 0
    assert seen
    assert all(seen)


@pytest.mark.slow
def test_a_reward_model_on_two_processes_is_that_of_one(tmp_path: Path) -> None:
    one, two = (order(tmp_path, "reward_model", name) for name in ("one", "two"))
    assert learn(one, "reward_model") == 0
    assert recipe_run_on_two("training.recipes.reward_model", two) == 0
    assert manifest(two).environment["processes"] == 2
    same_but_for_rounding(one, two, "reward_model")


def test_accumulation_by_the_accelerate_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would divide losses that are shares of a global mean already."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    spec = order(tmp_path, "reward_model", "run")
    assert learn(spec, "reward_model") == EXIT_USER
    assert "set micro_batch_size" in (spec.parent / "error.json").read_text()


def test_rows_are_cut_into_stretches_and_0_leaves_them_whole() -> None:
    rows = list(range(5))
    assert runtime.micro_batches(rows, 2) == [[0, 1], [2, 3], [4]]
    assert runtime.micro_batches(rows, 0) == [rows]
    assert runtime.micro_batches(rows, 9) == [rows]
