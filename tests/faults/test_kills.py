"""Kills at random moments of a round, as `python -m benchmarks.kills` does them, only fewer.

OUTERLOOP_TEST_KILLS=10 kills each target ten times, and all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("OUTERLOOP_TEST_KILLS") or 0)
# `both` kills a worker together with its learning program; the others alone cost as much again.
TARGETS = ("both", "postgres", *(("worker", "child", "beat", "site") if KILLS else ()))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    results = tmp_path_factory.mktemp("kills") / "kills.json"
    command = [sys.executable, "-m", "benchmarks.kills", "--target", *TARGETS]
    done = subprocess.run(
        [*command, "--kills", str(KILLS or 2), "--results", str(results)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert results.exists(), done.stdout[-2000:] + done.stderr[-4000:]
    found = json.loads(results.read_text())["targets"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_a_killed_round_ends_with_the_artifacts_of_an_undisturbed_one(
    target: str, outcomes: dict[str, Any]
) -> None:
    found = outcomes[target]
    assert found["differences"] == []
    assert found["broken_journals"] == []
    assert found["kills"] == (KILLS or 2)
