"""One round on each kind of installation, by settings alone: the same processes on other servers.

The embedded default is what the kills run on. `python -m benchmarks.brokers` runs all three, and with --demo
trains in earnest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.brokers import missing
from tests.support.postgres import DEBIAN, debian_binaries

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).resolve().parents[2]

DEBIAN_POSTGRES = "" if debian_binaries() else f"no {DEBIAN}/postgres: apt install postgresql-15"
BROKER = {"redis": "redis", "rabbitmq": "amqp"}
NEEDS = {
    "redis": DEBIAN_POSTGRES or missing("redis-server"),
    "rabbitmq": missing("rabbitmq-server"),
}


@pytest.mark.parametrize("installation", list(NEEDS))
def test_a_round_closes_and_leaves_what_was_recorded(installation: str, tmp_path: Path) -> None:
    if NEEDS[installation]:
        pytest.skip(NEEDS[installation])
    results = tmp_path / "brokers.json"
    command = [sys.executable, "-m", "benchmarks.brokers", "--installation", installation]
    done = subprocess.run(
        [*command, "--results", str(results)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found = json.loads(results.read_text())["installations"][installation]
    assert (found["good"], found["state"], found["steps done"]) == (True, "CLOSED", 9)
    assert found["postgresql"].startswith("15" if installation == "redis" else "18")
    assert found["broker"] == BROKER[installation]
