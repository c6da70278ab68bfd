"""PPO runs that a scripted reward pays, from begin to end in this process, and a power cut in the middle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import ppo_runs
from training.contracts import EXIT_ERROR
from training.recipes import ppo

Inputs = Mapping[str, Path]


def inputs_write(root: Path) -> dict[str, Path]:
    """A policy that is its own reference, and prompts."""
    policy = ppo_runs.write_policy(root / "policy")
    prompts = ppo_runs.write_prompts(root / "prompts.jsonl")
    return {"policy": policy, "reference": policy, "prompts": prompts}


def ppo_run(directory: Path, inputs: Inputs, settings: Mapping[str, Any]) -> int:
    """The exit code; a run directory that is there goes on with the settings that it has."""
    if not (directory / "spec.json").exists():
        ppo_runs.write_order(directory, ppo_runs.tiny_config(**settings), inputs)
    return ppo.main([str(directory / "spec.json")])


def cut_and_resume(monkeypatch: pytest.MonkeyPatch, run: Callable[[], int], *, at: int) -> None:
    """`run` begins and fails at update `at`, then goes on to its end."""
    ppo_update = ppo.ppo_update

    def failing(parts: Any, progress: Any, rollout: Any, update: int) -> Any:
        if update == at:
            raise RuntimeError("power cut")
        return ppo_update(parts, progress, rollout, update)

    with monkeypatch.context() as power:
        power.setattr(ppo, "ppo_update", failing)
        assert run() == EXIT_ERROR
    assert run() == 0
