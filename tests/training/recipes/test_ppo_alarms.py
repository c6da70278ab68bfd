"""Alarms in a real PPO run: it stops, names the alarm and keeps the last healthy policy."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from training.contracts import EXIT_ERROR, EXIT_USER, Alarms, RunManifest
from training.core.ppo.experience import build_experience
from training.core.rollout.metrics import rollout_metrics
from training.recipes import ppo


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("inputs")
    policy = ppo_runs.write_policy(root / "policy")
    prompts = ppo_runs.write_prompts(root / "prompts.jsonl")
    return {"policy": policy, "reference": policy, "prompts": prompts}


def run(directory: Path, inputs: dict[str, Path], **changes: Any) -> int:
    spec = directory / "spec.json"
    if not spec.exists():
        ppo_runs.write_order(directory, ppo_runs.tiny_config(**changes), inputs)
    return ppo.main([str(spec)])


def manifest(directory: Path) -> RunManifest:
    return RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))


def alarms(directory: Path) -> list[dict[str, Any]]:
    lines = (directory / "events.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["phase"].startswith("alarm ")]


def plant_nan(monkeypatch: pytest.MonkeyPatch, *, at: int) -> None:
    """One return of the update `at` (from 0) is NaN, as a broken value would make it."""
    calls = iter(range(1000))

    def planted(*arguments: Any, **named: Any) -> Any:
        experience = build_experience(*arguments, **named)
        if next(calls) == at:
            experience.returns[0, -1] = math.nan
        return dataclasses.replace(experience)

    monkeypatch.setattr("training.recipes.ppo.build_experience", planted)


def test_a_planted_nan_stops_the_run_with_the_last_healthy_policy(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "short", inputs, updates=2) == 0
    plant_nan(monkeypatch, at=2)
    assert run(tmp_path / "run", inputs, updates=6) == 0
    stopped, short = manifest(tmp_path / "run"), manifest(tmp_path / "short")
    assert stopped.results["stopped_by"] == stopped.results["alarm"]["name"] == "nan"
    assert "value loss is nan" in stopped.results["alarm"]["says"]
    assert stopped.results["updates"] == 2
    assert stopped.results["final"] == short.results["final"]
    # The policy that is kept is the very one of a run that was ordered to stop there.
    assert stopped.artifact("policy").sha256 == short.artifact("policy").sha256
    (event,) = alarms(tmp_path / "run")
    assert (event["phase"], event["step"]) == ("alarm nan", 2)
    assert event["message"] == stopped.results["alarm"]["says"]
    assert short.results["alarm"] is None


def test_an_alarm_before_anything_was_learned_fails_the_run(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_nan(monkeypatch, at=0)
    assert run(tmp_path / "run", inputs) == EXIT_USER
    error = json.loads((tmp_path / "run" / "error.json").read_text())
    assert error["kind"] == "alarm"
    assert "is nan" in error["message"]
    assert [event["phase"] for event in alarms(tmp_path / "run")] == ["alarm nan"]
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_an_alarm_that_waits_keeps_the_policy_before_the_first_suspect_row(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entropy looks collapsed from rollout 2 on; patience ends at rollout 4, after a power cut."""
    seen = list[int]()

    def collapsed(*arguments: Any, **named: Any) -> Any:
        seen.append(len(seen))
        return rollout_metrics(*arguments, **named) | ({"entropy": 1e-6} if len(seen) > 2 else {})

    monkeypatch.setattr("training.core.rollout.rollouts.rollout_metrics", collapsed)
    ppo_update = ppo.ppo_update

    def failing(parts: Any, progress: Any, rollout: Any, update: int) -> Any:
        if update == 3:
            raise RuntimeError("power cut")
        return ppo_update(parts, progress, rollout, update)

    monkeypatch.setattr(ppo, "ppo_update", failing)
    assert run(tmp_path / "run", inputs, updates=8) == EXIT_ERROR
    monkeypatch.setattr(ppo, "ppo_update", ppo_update)
    assert run(tmp_path / "run", inputs) == 0
    results = manifest(tmp_path / "run").results
    assert results["stopped_by"] == "entropy_collapse"
    assert (results["updates"], results["updates_run"]) == (1, 4)
    assert results["final"]["entropy"] > 0.1
    monkeypatch.undo()
    assert run(tmp_path / "short", inputs, updates=1) == 0
    kept, short = (manifest(tmp_path / name).artifact("policy") for name in ("run", "short"))
    assert kept.sha256 == short.sha256


def test_an_alarm_that_is_switched_off_lets_the_run_go_on(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    limits = Alarms(kl_limit=1e-9)
    assert run(tmp_path / "on", inputs, alarms=limits, policy_learning_rate=1e-2) == EXIT_USER
    assert "alarms.kl_limit" in json.loads((tmp_path / "on" / "error.json").read_text())["message"]
    assert run(tmp_path / "off", inputs, alarms=Alarms(kl_limit=0), policy_learning_rate=1e-2) == 0
    assert manifest(tmp_path / "off").results["stopped_by"] == "updates"
