"""What is kept alive, and what ends everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from outerloop.processes.supervising import PAUSES, SETTLED_SECONDS, ProcessState
from tests.support.fake_runs import alive, eventually

CHECKOUT = Path(__file__).resolve().parents[3]

# Two processes that note their numbers; the first argument is how long a process must have run.
SUPERVISOR = """
import os, sys
from django.conf import settings
settings.configure(VAR_DIR=sys.argv[2], BASE_DIR=os.getcwd(), DATABASE_URL="postgresql:///none")
from outerloop.processes import supervising
from outerloop.processes.lines import ProcessLine
supervising.SETTLED_SECONDS = float(sys.argv[1])
supervising.PAUSES = (0.0, 0.0, 0.0)
lines = [
    ProcessLine(name, ("sh", "-c", f"echo $$ >> {sys.argv[2]}/{name}; {sys.argv[3]}"))
    for name in sys.argv[4:]
]
def said(text):
    with open(f"{sys.argv[2]}/said", "a") as file:
        print(text, file=file)
supervisor = supervising.ProcessSupervisor(
    lines, say=said, show=lambda name, line: None, database=lambda: ""
)
sys.exit(supervisor.run())
"""


@pytest.fixture
def supervise(tmp_path):
    """Starts a supervisor of two processes, or of those named; all share one installation."""
    started = []

    def start(settled: float, work: str, *names: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SUPERVISOR, str(settled), str(tmp_path), work]
        process = subprocess.Popen(
            [*command, *(names or ("one", "two"))],
            cwd=CHECKOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(30)
    for name in ("one", "two"):
        for pid in pids(tmp_path, name):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def said(folder: Path) -> list[str]:
    path = folder / "said"
    return path.read_text().splitlines() if path.exists() else []


def pids(folder: Path, name: str) -> list[int]:
    path = folder / name
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_killed_process_is_started_again_and_a_signal_ends_all(supervise, tmp_path):
    supervisor = supervise(0.0, "exec sleep 600")
    (first,) = eventually(lambda: pids(tmp_path, "one"))
    (other,) = eventually(lambda: pids(tmp_path, "two"))
    os.kill(first, signal.SIGKILL)
    second = eventually(lambda: pids(tmp_path, "one")[1:])[0]
    assert alive(second)
    assert alive(other)
    assert pids(tmp_path, "two") == [other]
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 143
    assert said(tmp_path) == ["one ended (killed by signal 9); it is started again."]
    assert not alive(second)
    assert not alive(other)


def test_a_process_that_ends_at_its_first_start_ends_all_with_its_code_and_its_words(
    supervise, tmp_path
):
    supervisor = supervise(60.0, "echo the port is taken; exit 3")
    assert supervisor.wait(30) == 3
    assert said(tmp_path)[0].endswith(
        "ended (exit code 3) and cannot be kept running: the port is taken"
    )
    assert len(pids(tmp_path, "one")) == 1


def test_what_runs_elsewhere_is_shared_and_taken_over_when_it_ends(supervise, tmp_path):
    owner = supervise(0.0, "exec sleep 600", "one")
    (first,) = eventually(lambda: pids(tmp_path, "one"))
    supervise(0.0, "exec sleep 600")
    eventually(lambda: pids(tmp_path, "two"))
    eventually(lambda: said(tmp_path) == ["Running elsewhere already, and shared: one."])
    assert pids(tmp_path, "one") == [first]
    owner.terminate()
    second = eventually(lambda: pids(tmp_path, "one")[1:])[0]
    assert not alive(first)
    assert alive(second)
    eventually(lambda: said(tmp_path)[1:] == ["one ended elsewhere and was started here."])


def test_a_process_whose_supervisor_was_killed_is_not_started_twice(supervise, tmp_path):
    owner = supervise(0.0, "exec sleep 600", "one")
    (first,) = eventually(lambda: pids(tmp_path, "one"))
    owner.kill()
    owner.wait()
    supervise(0.0, "exec sleep 600", "one")
    eventually(lambda: said(tmp_path) == ["Running elsewhere already, and shared: one."])
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pids(tmp_path, "one")[1:])


def test_a_lock_file_that_was_left_behind_means_nothing(supervise, tmp_path):
    """Its number may belong to any program by now."""
    owner = supervise(0.0, "exec sleep 600", "one")
    eventually(lambda: pids(tmp_path, "one"))
    owner.terminate()
    owner.wait()
    (lock,) = tmp_path.glob("run/*/one")
    lock.write_text(f'{{"process": {os.getpid()}, "supervisor": {os.getpid()}}}')
    supervise(0.0, "exec sleep 600", "one")
    eventually(lambda: pids(tmp_path, "one")[1:])


def test_a_process_that_ran_for_a_while_comes_back_after_a_pause():
    state = ProcessState(started_at=0.0)
    assert state.ended(SETTLED_SECONDS + 1)
    assert state.again_at == SETTLED_SECONDS + 1 + PAUSES[0]


def test_a_process_that_ends_again_and_again_is_given_up():
    state, now = ProcessState(started_at=0.0), SETTLED_SECONDS + 1
    for _ in PAUSES:
        assert state.ended(now)
        now = state.again_at or 0.0
        state.begin(now)
        now += 1.0  # at once
    assert not state.ended(now)


def test_a_process_that_settled_again_is_forgiven():
    state, now = ProcessState(started_at=0.0), SETTLED_SECONDS + 1
    for _ in range(3 * len(PAUSES)):
        assert state.ended(now)
        state.begin(now)
        now += SETTLED_SECONDS + 1
    assert state.short == 0
