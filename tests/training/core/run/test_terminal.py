"""Progress for whoever typed the command, and silence where nobody looks."""

from __future__ import annotations

import io
import os
import pty
import sys
from pathlib import Path

import pytest

from tests.support import ppo_runs
from training.contracts import EXIT_USER, RunEvent
from training.core.run.terminal import CLEAR, TerminalProgress, progress_line, terminal_open
from training.recipes import ppo


def event(step: int, phase: str = "ppo", message: str = "", **metrics: float | None) -> RunEvent:
    return RunEvent(step, "2026-01-02T03:04:05Z", phase, step, 20, dict(metrics), message)


def test_a_line_says_phase_share_time_left_and_what_matters_most() -> None:
    line = progress_line(
        event(5, kl_k1=1.234, entropy=0.5, seconds=3.0, reward_train=None), seconds_left=130
    )
    assert line == "ppo [#####...............] 5/20  2 min 10 s left  kl_k1 1.23  entropy 0.5"
    assert progress_line(event(20, message="Done."), seconds_left=0).endswith("20/20  Done.")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")]
)
def test_time_left_has_at_most_two_units(seconds: float, words: str) -> None:
    assert f"{words} left" in progress_line(event(1), seconds_left=seconds)


def test_a_phase_renews_its_line_and_leaves_the_last_one() -> None:
    moments, stream = iter([0.0, 10.0, 20.0]), io.StringIO()
    shown = TerminalProgress(stream, width=60, clock=lambda: next(moments))
    for happened in (event(1), event(2), event(1, phase="final", message="x" * 100)):
        shown.show(happened)
    shown.close()
    first, second, last = stream.getvalue().split(CLEAR)[1:]
    assert "left" not in first
    assert "3 min 0 s left" in second  # 10 s a step, 18 steps to go
    assert second.endswith("\n")
    assert len(last) == 60  # 59 characters and the line end: a narrow terminal breaks no line


def test_a_stream_that_is_no_terminal_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal_open(wanted=True) is None


@pytest.mark.parametrize("token", [False, True])
def test_a_program_shows_its_progress_to_a_person_and_not_to_a_worker(
    tmp_path: Path, token: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is refused, which is quick; the start has been shown by then."""
    spec = ppo_runs.write_order(tmp_path / "run", ppo_runs.tiny_config(updates=0), {})
    (spec.parent / "fence").write_text("1")
    shown, held = pty.openpty()
    with os.fdopen(held, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert ppo.main([str(spec), *(["--token", "1"] if token else [])]) == EXIT_USER
        said = os.read(shown, 65536).decode()
    os.close(shown)
    assert "updates is 0" in said
    assert ("start [" in said) is not token
