"""What is kept alive, and what ends everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outerloop.rounds.supervising import PAUSES, SETTLED_SECONDS, Life
from tests.support.fake_runs import alive, eventually

CHECKOUT = Path(__file__).resolve().parents[3]

# Two processes that note their numbers; the first argument is how long a process must have run.
KEEPER = """
import sys
from outerloop.rounds import supervising
from outerloop.rounds.supervising import Keeper
supervising.SETTLED_SECONDS = float(sys.argv[1])
supervising.PAUSES = (0.0, 0.0, 0.0)
keeper = Keeper()
for name in ("one", "two"):
    keeper.add_process(name, f"exec sh -c 'echo $$ >> {sys.argv[2]}/{name}; {sys.argv[3]}'")
keeper.loop()
sys.exit(keeper.returncode)
"""


@pytest.fixture
def keep(tmp_path):
    started = []

    def start(settled: float, work: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", KEEPER, str(settled), str(tmp_path), work]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "outerloop.settings.test"}
        started.append(subprocess.Popen(command, cwd=CHECKOUT, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def pids(folder: Path, name: str) -> list[int]:
    path = folder / name
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_killed_process_is_started_again_and_a_signal_ends_all(keep, tmp_path):
    keeper = keep(0.0, "exec sleep 600")
    (first,) = eventually(lambda: pids(tmp_path, "one"))
    (other,) = eventually(lambda: pids(tmp_path, "two"))
    time.sleep(0.3)  # both are reported as started by then, or the kill ends the start
    os.kill(first, signal.SIGKILL)
    second = eventually(lambda: pids(tmp_path, "one")[1:])[0]
    assert alive(second)
    assert alive(other)
    assert pids(tmp_path, "two") == [other]
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(30) == 143
    assert not alive(second)
    assert not alive(other)


def test_a_process_that_ends_at_its_first_start_ends_all_with_its_code(keep, tmp_path):
    keeper = keep(60.0, "exit 3")
    assert keeper.wait(30) == 3
    assert len(pids(tmp_path, "one")) == 1


def test_a_process_that_ran_for_a_while_comes_back_after_a_pause():
    life = Life(started_at=0.0)
    assert life.ended(SETTLED_SECONDS + 1)
    assert life.again_at == SETTLED_SECONDS + 1 + PAUSES[0]


def test_a_process_that_ends_again_and_again_is_given_up():
    life, now = Life(started_at=0.0), SETTLED_SECONDS + 1
    for _ in PAUSES:
        assert life.ended(now)
        now = life.again_at or 0.0
        life.begin(now)
        now += 1.0  # at once
    assert not life.ended(now)


def test_a_process_that_settled_again_is_forgiven():
    life, now = Life(started_at=0.0), SETTLED_SECONDS + 1
    for _ in range(3 * len(PAUSES)):
        assert life.ended(now)
        life.begin(now)
        now += SETTLED_SECONDS + 1
    assert life.short == 0
