"""Small runs of DPO and best-of-n: the tiny policy of `ppo_runs`, judged pairs, reward models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support import ppo_runs
from training.contracts import (
    BestOfNConfig,
    DpoConfig,
    InputRef,
    JsonContract,
    MeasureConfig,
    RunManifest,
    RunSpec,
    Sampling,
)
from training.digests import path_sha256
from training.recipes import best_of_n, dpo, ppo

RECIPES: dict[str, ModuleType] = {"ppo": ppo, "dpo": dpo, "best_of_n": best_of_n}
MEASURE = MeasureConfig(
    points=3, prompts=12, sampling=Sampling(max_new_tokens=6), exact_kl_rollouts=12
)


def dpo_config(**changes: Any) -> DpoConfig:
    settings: dict[str, Any] = {
        "measure": MEASURE,
        "max_length": 48,
        "learning_rate": 3e-3,
        "batch_size": 16,
        "checkpoint_every": 2,
        "log_every": 1,
    }
    return DpoConfig(**(settings | changes))


def best_of_n_config(**changes: Any) -> BestOfNConfig:
    settings: dict[str, Any] = {
        "n": 4,
        "prompts_per_iteration": 16,
        "batch_size": 8,
        "epochs": 1,
        "learning_rate": 3e-3,
        "measure": MEASURE,
        "checkpoint_every": 1,
        "log_every": 1,
    }
    return BestOfNConfig(**(settings | changes))


def write_pairs(path: Path, count: int = 60) -> Path:
    """Every pair prefers "blue sun" to "red moon"; each tenth is a tie, each eighth for validation."""
    rows = [
        {
            "id": f"c{i}",
            "group": f"g{i}",
            "messages": [{"role": "user", "content": ppo_runs.QUESTIONS[i % 6]}],
            "completions": sorted(["blue sun", "red moon"], reverse=bool(i % 2)),
            "preference": 0.5 if i % 10 == 9 else float(i % 2 == 0),
            "split": "validation" if i % 8 == 7 else "train",
            "weight": 2.0 if i % 5 == 0 else 1.0,
        }
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_inputs(root: Path) -> dict[str, Path]:
    """Policy and reference, prompts, both reward models, pairs."""
    policy = ppo_runs.write_policy(root / "policy")
    return {
        "policy": policy,
        "reference": policy,
        "prompts": ppo_runs.write_prompts(root / "prompts.jsonl"),
        "reward_model": ppo_runs.write_reward_model(root / "reward_model", seed=1),
        "held_out_reward_model": ppo_runs.write_reward_model(root / "held", members=1, seed=9),
        "preferences": write_pairs(root / "pairs.jsonl"),
    }


def write_order(
    kind: Any, directory: Path, inputs: Mapping[str, Path], config: JsonContract, *, seed: int = 7
) -> None:
    """A run directory with its spec; only DPO is given the pairs."""
    directory.mkdir(parents=True)
    used = {name: path for name, path in inputs.items() if name != "preferences" or kind == "dpo"}
    references = {name: InputRef(str(path), path_sha256(path)) for name, path in used.items()}
    order = RunSpec("test", kind, seed, references, config.to_json())
    (directory / "spec.json").write_text(json.dumps(order.to_json()))


def run(
    kind: Any, directory: Path, inputs: Mapping[str, Path], config: JsonContract, *, seed: int = 7
) -> int:
    """Carry the order out, or go on with it where the directory has one; returns the exit code."""
    if not (directory / "spec.json").exists():
        write_order(kind, directory, inputs, config, seed=seed)
    code: int = RECIPES[kind].main([str(directory / "spec.json")])
    return code


def manifest(directory: Path) -> RunManifest:
    return RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))


def message(directory: Path) -> str:
    return str(json.loads((directory / "error.json").read_text())["message"])
