"""PPO as a program: killed in the middle, and spread over two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support import ppo_runs
from tests.support.recipes import manifest, recipe_kill_after, recipe_run
from training.recipes import ppo

ROOT = Path(__file__).parents[3]
RECIPE = "training.recipes.ppo"
pytestmark = pytest.mark.slow


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    policy = ppo_runs.write_policy(tmp_path / "policy")
    prompts = ppo_runs.write_prompts(tmp_path / "prompts.jsonl")
    return {"policy": policy, "reference": policy, "prompts": prompts}


def launch(spec: Path, configuration: str) -> subprocess.Popen[bytes]:
    """`accelerate launch` with a shipped configuration."""
    environment = {"PYTHONPATH": str(ROOT), "OUTERLOOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    path = str(ROOT / "training" / "configs" / f"{configuration}.yaml")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", path, "-m"]
    command += ["training.recipes.ppo", str(spec)]
    return subprocess.Popen(command, env=os.environ | environment)


def order(directory: Path, inputs: dict[str, Path], **changes: Any) -> Path:
    return ppo_runs.write_order(directory, ppo_runs.tiny_config(**changes), inputs)


def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    changes = {"updates": 16, "prompts_per_update": 32}
    whole, cut = (order(tmp_path / name, inputs, **changes) for name in ("whole", "cut"))
    assert recipe_run(RECIPE, whole) == 0
    recipe_kill_after(RECIPE, cut, "ppo", 5)
    assert recipe_run(RECIPE, cut) == 0
    hashes = [manifest(spec).artifact("policy").sha256 for spec in (whole, cut)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("configuration", "settings"),
    [
        ("cpu-two", {}),
        ("cpu-two", {"advantage": "rloo", "prompts_per_update": 8, "completions_per_prompt": 4}),
        # A pair is on one process whole, and both move the weights by the same gradient.
        (
            "cpu-two",
            {
                "advantage": "p3o",
                "prompts_per_update": 8,
                "completions_per_prompt": 4,
                "micro_batch_size": 4,
                "gradient_penalty": 0.1,
                "gradient_probe": 0.1,
            },
        ),
        (
            "cpu-two-fsdp",
            {
                "advantage": "p3o",
                "prompts_per_update": 8,
                "completions_per_prompt": 4,
                "micro_batch_size": 4,
            },
        ),
        # Other numbers of micro-batches on the two processes, which must go forward equally often.
        ("cpu-two-fsdp", {"micro_batch_size": 2, "gradient_checkpointing": True}),
    ],
)
def test_two_processes_learn_what_one_learns(
    tmp_path: Path, inputs: dict[str, Path], configuration: str, settings: dict[str, Any]
) -> None:
    """Five updates under a shipped configuration: the split is only another order of summation."""
    changes = {"updates": 5, "policy_learning_rate": 1e-3, **settings}
    one, two = (order(tmp_path / name, inputs, **changes) for name in ("one", "two"))
    torch.set_num_threads(1)
    assert ppo.main([str(one)]) == 0
    assert launch(two, configuration).wait(300) == 0
    assert manifest(two).environment["processes"] == 2
    weights = [load_file(spec.parent / "policy" / "model.safetensors") for spec in (one, two)]
    before = load_file(inputs["policy"] / "model.safetensors")
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], atol=1e-5, rtol=0, msg=name)
    assert any(not torch.allclose(before[name], weights[0][name], atol=1e-3) for name in before)
    rows = [ppo_runs.events(spec.parent, "ppo") for spec in (one, two)]
    assert len(rows[0]) == len(rows[1]) == 5
    for alone, shared in zip(*rows, strict=True):
        for name in ("kl_k1", "kl_k3", "reward_train", "entropy", "policy_loss", "grad_norm"):
            expected = pytest.approx(alone["metrics"][name], rel=1e-3, abs=1e-5)
            assert shared["metrics"][name] == expected, name
