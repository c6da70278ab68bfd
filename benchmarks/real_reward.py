"""Reward models of the benchmark on a real model: from real votes, beside length and majority."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import real_rows
from benchmarks.real_runs import recipe_run
from benchmarks.real_sizes import SEED, Bench
from evaluation.contracts import EvaluateRewardModelConfig
from training.contracts import ModelSource, RewardModelConfig

PUBLISHED = {
    "arguments": "0.76-0.78 across topics, trained on all other topics (Habernal and Gurevych 2016)",
    "harmless": "none for so few pairs",
    "instructions": "none for so few pairs",
}


def reward_config(model: Path, *, small: bool, **changes: Any) -> RewardModelConfig:
    """One member on an encoder (`small`) or on the policy's own backbone, one pass over the pairs."""
    return RewardModelConfig(
        backbone=ModelSource(kind="pretrained", name=str(model)),
        **{
            "members": 1,
            "epochs": 2 if small else 1,
            "batch_size": 16,
            "learning_rate": 5e-5 if small else 2e-5,
            "max_length": 256 if small else 192,
            "micro_batch_size": 4,
            "packed": True,
            "log_every": 4,
        }
        | changes,
    )


def reward(bench: Bench) -> dict[str, Any]:
    """The first `models` of four; each is measured by `evaluate_reward_model` on groups that it never saw."""
    tasks: dict[str, tuple[Callable[[], list[real_rows.Row]], str]] = {
        "arguments minilm": (real_rows.arguments, "minilm"),
        "instructions minilm": (real_rows.instructions, "minilm"),
        "harmless minilm": (real_rows.harmless, "minilm"),
        "arguments smollm2": (real_rows.arguments, "smollm2"),
    }
    chosen = itertools.islice(tasks.items(), bench.size("reward", "models"))
    return {"models": {name: reward_one(bench, name, *task) for name, task in chosen}}


def reward_one(
    bench: Bench, name: str, rows_of: Callable[[], list[real_rows.Row]], backbone: str
) -> dict[str, Any]:
    small, sizes = backbone == "minilm", bench.sizes["reward"]
    own = "" if small else "smollm2_"
    limits = {
        "train": sizes[f"{backbone}_train"],
        "validation": sizes[f"{own}validation"],
        "test": sizes[f"{own}test"],
    }
    rows = real_rows.divided(rows_of(), sizes=limits, seed=SEED)
    folder = bench.work / "reward" / name.replace(" ", "-")
    preferences = real_rows.rows_write(folder / "preferences.jsonl", rows)
    config = reward_config(bench.minilm if small else bench.smollm2, small=small)
    trained = recipe_run(
        "reward_model", config, {"preferences": preferences}, folder / "train", seed=SEED
    )
    measured = recipe_run(
        "evaluate_reward_model",
        EvaluateRewardModelConfig(),
        {
            "preferences": preferences,
            "reward_model": trained.artifact("reward_model"),
            "held_out_reward_model": trained.artifact("held_out_reward_model"),
        },
        folder / "measure",
        seed=SEED,
    )
    found = reward_told(measured.results["splits"]["test"], rows)
    print(f"  {name}: {json.dumps(found)}", flush=True)
    return found | {
        "pairs": trained.results["pairs"],
        "published": PUBLISHED[name.split()[0]],
        "config": config.to_json() | {"backbone": backbone},
        "training": trained.took,
        "measuring": measured.took,
    }


def reward_told(test: Mapping[str, Any], rows: list[real_rows.Row]) -> dict[str, Any]:
    """Accuracy and calibration on the test split, beside the two baselines."""
    return {
        "accuracy": interval(test["accuracy"]),
        "held_out_accuracy": test["held_out_accuracy"] and interval(test["held_out_accuracy"]),
        "length_baseline": interval(test["length_baseline"]),
        "majority_baseline": round(real_rows.majority_baseline(rows), 4),
        "test_pairs": test["pairs"],
        "test_groups": test["groups"],
        **{
            name: round(test[name], 4)
            for name in (
                "nll",
                "nll_calibrated",
                "ece",
                "ece_calibrated",
                "ece_null_95",
                "temperature",
            )
            if test[name] is not None
        },
    }


def interval(found: Mapping[str, Any]) -> list[float]:
    """Estimate, low, high."""
    return [round(found[name], 4) for name in ("estimate", "low", "high")]
