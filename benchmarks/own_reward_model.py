"""This side of `benchmarks.reward_model_vs_trl`: the recipe as it ships, one run a request."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.own_ppo import digests_once, events_marked
from benchmarks.peers import Answer, answer_requests, peak_mb, peak_restart
from training.contracts import InputRef, RewardModelConfig, RunSpec
from training.core.run.run_directory import recipe_main
from training.digests import path_sha256
from training.recipes import reward_model


def run(*, preferences: str, config: dict[str, Any], seed: int) -> Answer:
    """Train one member (and the guard on its few pairs); marks are the ends of the member's steps."""
    with tempfile.TemporaryDirectory() as scratch, digests_once():
        spec = RunSpec(
            run_id="benchmark-reward-model",
            kind="reward_model",
            seed=seed,
            inputs={"preferences": InputRef(preferences, path_sha256(Path(preferences)))},
            config=config,
        )
        path = Path(scratch) / "spec.json"
        path.write_text(json.dumps(spec.to_json()))
        peak_restart()
        with events_marked(["train member_0"]) as marks:
            failed = recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(path)])
        if failed:
            raise SystemExit("The run failed; its sentence stands in the log.")
        peak = peak_mb()
        results = json.loads((path.parent / "manifest.json").read_text())["results"]
    return {
        **marks.to_json(),
        "pairs": results["pairs"]["train"],
        "accuracy": results["test"]["ensemble"]["accuracy"],
        "length_baseline": results["test"]["length_baseline"]["accuracy"],
        "peak_mb": peak,
    }


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    answer_requests(run)
