"""What PPO, DPO and best-of-n have in common: the same rows, resume, cancel, limits and adapters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.support import optimiser_runs, ppo_runs
from tests.support.optimiser_runs import MEASURE, RECIPES, manifest, message, run
from training.contracts import (
    EXIT_CANCELLED,
    EXIT_ERROR,
    EXIT_USER,
    AdapterConfig,
    BestOfNConfig,
    DpoConfig,
    PpoConfig,
)
from training.digests import artifact_verify

MEASURED = {
    *("reward_train", "reward_train_raw", "reward_held_out", "reward_held_out_raw"),
    *("ensemble_std", "kl_k1", "kl_k3", "kl_exact", "entropy", "response_length", "eos_rate"),
    *("distinct_2", "repetition"),
}
LORA = AdapterConfig(kind="lora", rank=4)
KINDS = ("ppo", "dpo", "best_of_n")
Config = PpoConfig | DpoConfig | BestOfNConfig


def config(kind: str, **changes: Any) -> Config:
    """`adapter` for any of them; the limits under the name that the kind has for them."""
    if kind == "ppo":
        changes.setdefault("updates", 4)
        return ppo_runs.tiny_config(
            **{"reward_function": "", "prompts_per_update": 8, "evaluate_every": 1} | changes
        )
    if kind == "dpo":
        return optimiser_runs.dpo_config(**changes)
    return optimiser_runs.best_of_n_config(**changes)


def fast(kind: str, **limits: Any) -> Config:
    """Settings under which the policy runs away within a few steps."""
    if kind == "ppo":
        kl = replace(PpoConfig().kl, beta=0.0, budget=limits.pop("kl_budget", 0.0))
        return config(kind, updates=8, policy_learning_rate=3e-2, kl=kl, **limits)
    measure = replace(MEASURE, points=6, **limits)
    more = {"iterations": 4} if kind == "best_of_n" else {"epochs": 3}
    return config(kind, learning_rate=5e-2, measure=measure, **more)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return optimiser_runs.write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, inputs: dict[str, Path]) -> dict[str, Path]:
    """A whole run of each kind with an adapter."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("adapted")
    for kind in KINDS:
        assert run(kind, root / kind, inputs, config(kind, adapter=LORA)) == 0
    return {kind: root / kind for kind in KINDS}


# ---------------------------------------------------------------------- what they leave


@pytest.mark.parametrize("kind", KINDS)
def test_every_measurement_has_the_rows_of_the_mismatch_meter(
    kind: str, adapted: dict[str, Path]
) -> None:
    rows = ppo_runs.events(adapted[kind], kind)
    assert len(rows) == 4
    for row in rows:
        assert row["metrics"].keys() >= MEASURED
        assert not {name for name in MEASURED if row["metrics"][name] is None}
    (final,) = ppo_runs.events(adapted[kind], "final")
    results = manifest(adapted[kind]).results
    assert results["final"] == final["metrics"]
    assert results["updates"] == results["updates_run"]
    assert results["final"].keys() >= MEASURED


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_of_an_adapter_is_the_adapter_switched_off(
    kind: str, adapted: dict[str, Path]
) -> None:
    first, *_, last = ppo_runs.events(adapted[kind], kind)
    for name in ("kl_k1", "kl_k3", "kl_exact"):
        assert first["metrics"][name] == 0.0
    assert last["metrics"]["kl_exact"] > 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_merged_into_an_ordinary_policy_and_kept_beside_it(
    kind: str, adapted: dict[str, Path], inputs: dict[str, Path]
) -> None:
    directory = adapted[kind]
    for name in ("policy", "adapter"):
        artifact = manifest(directory).artifact(name)
        assert artifact_verify(directory / artifact.path) == artifact.sha256
    before = load_file(inputs["policy"] / "model.safetensors")
    after = load_file(directory / "policy" / "model.safetensors")
    assert after.keys() == before.keys()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved
    assert all("proj" in name for name in moved)  # embeddings, norms and the head stay
    model = AutoModelForCausalLM.from_pretrained(directory / "policy")
    assert model.generation_config.do_sample
    trained = manifest(directory).results["trained_parameters"]
    assert 0 < trained < sum(weight.numel() for weight in after.values()) / 5


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_kept_for_people(kind: str, adapted: dict[str, Path]) -> None:
    rows = [json.loads(line) for line in (adapted[kind] / "samples.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in ppo_runs.events(adapted[kind], kind)]
    if kind == "ppo":  # a row of PPO describes the policy before its step
        steps = [step - 1 for step in steps] + [steps[-1]]
    assert sorted({row["update"] for row in rows}) == steps
    assert all(isinstance(row["reward_held_out"], float) for row in rows)


# ---------------------------------------------------------------------- resume and cancel


@pytest.mark.parametrize(("kind", "crash_at"), [("ppo", 3), ("dpo", 5), ("best_of_n", 3)])
def test_a_run_that_crashed_ends_with_the_same_bytes(
    kind: str,
    crash_at: int,
    tmp_path: Path,
    inputs: dict[str, Path],
    adapted: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step_name = "ppo_update" if kind == "ppo" else "train_step"
    step, calls = getattr(RECIPES[kind], step_name), []

    def failing(*arguments: Any) -> Any:
        result = step(*arguments)  # weights and moments have moved, nothing is saved
        calls.append(1)
        if len(calls) == crash_at:
            raise RuntimeError("power cut")
        return result

    monkeypatch.setattr(RECIPES[kind], step_name, failing)
    settings = config(kind, adapter=LORA)
    assert run(kind, tmp_path / "run", inputs, settings) == EXIT_ERROR
    monkeypatch.setattr(RECIPES[kind], step_name, step)
    assert run(kind, tmp_path / "run", inputs, settings) == 0
    assert ppo_runs.events(tmp_path / "run", "resume")
    whole, again = manifest(adapted[kind]), manifest(tmp_path / "run")
    assert [a.sha256 for a in again.artifacts] == [a.sha256 for a in whole.artifacts]
    assert again.results["final"] == whole.results["final"]
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("kind", ["dpo", "best_of_n"])
def test_a_cancelled_run_saves_and_can_go_on(
    kind: str, tmp_path: Path, inputs: dict[str, Path], adapted: dict[str, Path]
) -> None:
    directory, settings = tmp_path / "run", config(kind, adapter=LORA)
    optimiser_runs.write_order(kind, directory, inputs, settings)
    (directory / "cancel").touch()
    assert run(kind, directory, inputs, settings) == EXIT_CANCELLED
    assert (directory / "checkpoints").exists()
    (directory / "cancel").unlink()
    assert run(kind, directory, inputs, settings) == 0
    again, whole = (manifest(at).artifact("policy").sha256 for at in (directory, adapted[kind]))
    assert again == whole


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("kind", KINDS)
def test_past_the_kl_budget_the_last_policy_within_it_is_kept(
    kind: str, tmp_path: Path, inputs: dict[str, Path]
) -> None:
    assert run(kind, tmp_path / "run", inputs, fast(kind, kl_budget=0.2)) == 0
    results = manifest(tmp_path / "run").results
    assert results["stopped_by"] == "kl_budget"
    assert results["final"]["kl_k1"] <= 0.2
    assert results["updates"] < results["updates_run"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_better_held_out_reward_the_run_ends_and_the_best_policy_is_kept(
    kind: str, tmp_path: Path, inputs: dict[str, Path]
) -> None:
    """The untrained held-out model knows nothing of what is optimised: its reward wanders."""
    assert run(kind, tmp_path / "run", inputs, fast(kind, held_out_patience=1)) == 0
    results = manifest(tmp_path / "run").results
    assert results["stopped_by"] == "held_out_reward"
    assert results["updates"] == results["best_held_out_update"] < results["updates_run"]
    assert results["final"]["reward_held_out"] == results["best_held_out_reward"]


@pytest.mark.parametrize("kind", KINDS)
def test_patience_without_a_held_out_model_is_refused(
    kind: str, tmp_path: Path, inputs: dict[str, Path]
) -> None:
    rest = {name: path for name, path in inputs.items() if name != "held_out_reward_model"}
    assert run(kind, tmp_path / "run", rest, fast(kind, held_out_patience=1)) == EXIT_USER
    assert "'held_out_reward_model' is missing" in message(tmp_path / "run")
