"""The processes of a program that needs them: what it hears of them, and that they end with it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from outerloop.processes.attached import AttachedProcesses
from tests.support.fake_runs import eventually

TELLS = """
import sys
print("a line of the gpu worker")
print("gpu ended (exit code 3) and cannot be kept running: no memory", file=sys.stderr)
sys.exit(3)
"""
WAITS = """
import sys
print("up", sys.argv[1:], file=sys.stderr)
sys.stdin.read()
"""


@pytest.fixture
def attach(settings, tmp_path):
    """In place of manage.py, a program of the test's."""
    settings.BASE_DIR = tmp_path

    def start(program: str, *options: str) -> tuple[AttachedProcesses, list[str]]:
        (tmp_path / "manage.py").write_text(program)
        heard: list[str] = []
        log = tmp_path / "processes.log"
        return AttachedProcesses(options, log=log, say=heard.append), heard

    return start


def test_what_happens_to_them_is_said_at_once_and_their_end_is_a_failure(attach, tmp_path):
    processes, heard = attach(TELLS)
    failure = eventually(processes.failure)
    assert heard == ["gpu ended (exit code 3) and cannot be kept running: no memory"]
    assert failure == (
        f"The processes have ended (exit code 3): {heard[0]} {tmp_path / 'processes.log'} has what"
        " they printed."
    )
    assert processes.log.read_text() == "a line of the gpu worker\n"


def test_they_run_until_the_program_leaves(attach):
    processes, heard = attach(WAITS, "--port", "9")
    with processes:
        eventually(lambda: heard)
        assert heard == ["up ['up', '--attached', '--port', '9']"]
        assert processes.failure() == ""
    assert processes.child.poll() is not None


def test_up_ends_with_the_program_that_it_is_attached_to():
    """Even one that is killed: its end of the pipe closes."""
    program = (
        "import threading, time\n"
        "from outerloop.processes.attached import ended_with_standard_input\n"
        "threading.Thread(target=ended_with_standard_input, daemon=True).start()\n"
        "time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    time.sleep(0.5)
    assert child.poll() is None
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(60) == -15
