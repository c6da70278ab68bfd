"""PPO with completions that another engine drew."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import fake_vllm, ppo_runs
from tests.support.engine_policies import engine_policy
from tests.support.recipes import manifest, recipe_run_on_two
from training.contracts import EXIT_USER, AdapterConfig, InputRef, RunSpec
from training.core.tuning.footprint import ppo_footprint
from training.recipes import ppo

LOGGED = {"importance_mean", "importance_max", "importance_truncated", "engine_log_prob_gap"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("inputs")
    policy = ppo_runs.write_policy(root / "policy", engine_policy())
    prompts = ppo_runs.write_prompts(root / "prompts.jsonl")
    return {"policy": policy, "reference": policy, "prompts": prompts}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def order(directory: Path, inputs: dict[str, Path], **changes: Any) -> Path:
    config = ppo_runs.tiny_config(**({"updates": 2, "max_prompt_tokens": 32} | changes))
    return ppo_runs.write_order(directory, config, inputs)


def rows(directory: Path) -> list[dict[str, float]]:
    phases = ("ppo", "final")
    return [e["metrics"] for phase in phases for e in ppo_runs.events(directory, phase)]


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_an_exact_engine_has_weights_of_one(
    tmp_path: Path, inputs: dict[str, Path], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second row is about weights that were learned: an engine with old ones would show."""
    if engine == "vllm" and find_spec("vllm") is None:
        monkeypatch.setitem(sys.modules, "vllm", fake_vllm)
        monkeypatch.setattr("training.core.engines.vllm.find_spec", lambda name: object())
    spec = order(tmp_path / "run", inputs, rollout_engine=engine, policy_learning_rate=1e-2)
    assert ppo.main([str(spec)]) == 0
    found = rows(tmp_path / "run")
    assert len(found) == 3
    for row in found:
        assert row["importance_mean"] == pytest.approx(1.0, abs=1e-4)
        assert row["importance_max"] == pytest.approx(1.0, abs=1e-3)
        assert row["importance_truncated"] == 0.0
        assert 0 < row["engine_log_prob_gap"] < 1e-5
    assert found[-1]["kl_exact"] > 1e-3


def test_half_precision_with_an_adapter_is_corrected(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    spec = order(
        tmp_path / "run",
        inputs,
        rollout_engine="transformers",
        engine_dtype="bfloat16",
        importance_cap=1.0,
        gradient_checkpointing=True,
        adapter=AdapterConfig(kind="lora", rank=2),
        policy_learning_rate=1e-2,
    )
    assert ppo.main([str(spec)]) == 0
    for row in rows(tmp_path / "run"):
        assert 1e-4 < row["engine_log_prob_gap"] < 0.05
        assert 0.1 < row["importance_truncated"] < 0.9  # at a cap of 1 about every second token


def test_our_own_engine_logs_no_weights(tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert ppo.main([str(order(tmp_path / "run", inputs))]) == 0
    assert not any(row.keys() & LOGGED for row in rows(tmp_path / "run"))


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_a_missing_engine_ends_the_run_before_anything_is_loaded(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    assert ppo.main([str(order(tmp_path / "run", inputs, rollout_engine="vllm"))]) == EXIT_USER
    said = json.loads((tmp_path / "run" / "error.json").read_text())["message"]
    assert "the package vllm is not installed" in said
    assert not ppo_runs.events(tmp_path / "run", "memory")


def test_two_processes_each_have_an_engine(tmp_path: Path, inputs: dict[str, Path]) -> None:
    spec = order(tmp_path / "run", inputs, updates=1, rollout_engine="transformers")
    assert recipe_run_on_two("training.recipes.ppo", spec) == 0
    assert manifest(spec).environment["processes"] == 2
    assert all(row["importance_max"] == pytest.approx(1, abs=1e-3) for row in rows(spec.parent))


def test_the_copy_of_an_engine_is_counted_in_the_memory_that_is_needed(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    def weights(**changes: Any) -> int:
        config = ppo_runs.tiny_config(**changes)
        run = Counted(config, inputs)
        return ppo_footprint(run, processes=1, number=4).weights  # type: ignore[arg-type]

    own = weights()
    policy = 4 * sum(p.numel() for p in engine_policy().model.parameters())
    assert weights(rollout_engine="transformers") == own
    assert weights(rollout_engine="vllm") == own + policy
    assert weights(rollout_engine="transformers", engine_dtype="bfloat16") == own + policy // 2


class Counted:
    """As much of a run as the estimate reads."""

    def __init__(self, config: Any, inputs: dict[str, Path]) -> None:
        self.config, self.inputs = config, inputs
        digest = InputRef(path="", sha256="0" * 64)
        self.spec = RunSpec("counted", "ppo", 0, dict.fromkeys(inputs, digest), {})

    def input(self, name: str) -> Path:
        return self.inputs[name]
