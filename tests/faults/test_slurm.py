"""Kills under runs that a real Slurm carries out, as `python -m benchmarks.slurm_kills` does them, only fewer.

OUTERLOOP_TEST_KILLS=4 disturbs each of the seven targets four times; without it two are, once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.slurm import missing

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("OUTERLOOP_TEST_KILLS") or 0)
ALL = ["worker", "job", "time", "preemption", "slurmd", "slurmctld", "database"]
TARGETS = ALL if KILLS else ALL[:2]
JOBS = {"job": 2}


@pytest.mark.skipif(bool(missing()), reason=missing() or "a Slurm can be started")
def test_whoever_is_killed_a_job_ends_with_what_a_child_makes_and_is_submitted_once(
    tmp_path: Path,
) -> None:
    results = tmp_path / "slurm_kills.json"
    kills = max(KILLS, 1)
    command = [sys.executable, "-m", "benchmarks.slurm_kills", "--kills", str(kills)]
    command += ["--target", *TARGETS]
    with subprocess.Popen(
        [*command, "--results", str(results)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            said, _ = program.communicate(timeout=600 + 400 * kills * len(TARGETS))
        except subprocess.TimeoutExpired:
            program.terminate()  # it ends its daemons; a kill would leave them
            raise
    assert results.exists(), said[-4000:]
    found = json.loads(results.read_text())
    assert found["job undisturbed equals child"]
    for row in found["rows"]:
        assert (row["equal"], row["jobs"]) == (True, JOBS.get(row["target"], 1)), row
        assert row["good"], row
    assert len(found["rows"]) == kills * len(TARGETS)
