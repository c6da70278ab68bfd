"""Kills in the middle of PPO, as `python -m benchmarks.kill_training` does them: bit-equal weights.

The first kill leaves the checkpoints alone, the second finds the newest one cut short. With
OUTERLOOP_TEST_KILLS=10 each recipe is killed ten times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("OUTERLOOP_TEST_KILLS") or 0)
RECIPES = ("ppo", "reward_model") if KILLS else ("ppo",)


def test_a_killed_training_ends_with_the_same_bytes_whatever_became_of_its_checkpoint(
    tmp_path: Path,
) -> None:
    results = tmp_path / "kill_training.json"
    command = [sys.executable, "-m", "benchmarks.kill_training", "--recipe", *RECIPES]
    done = subprocess.run(
        [*command, "--kills", str(KILLS or 2), "--results", str(results)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    for recipe in RECIPES:
        run = json.loads(results.read_text())["runs"][recipe]
        assert [kill["equal"] for kill in run["kills"]] == [True] * (KILLS or 2)
        untouched, cut = run["kills"][:2]
        assert untouched["refused"] == []
        assert len(cut["refused"]) == 1
        assert "is damaged and was passed over" in cut["refused"][0]
