"""The check of a model in a program of its own: what it says, what does not fit, and how it ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from training.runs import checking
from training.runs.checking import ModelUnfit, model_check

MODULE = "checked_for_a_test"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A program in place of the real one: `program("print(1)")`."""

    def write(code: str) -> None:
        (tmp_path / f"{MODULE}.py").write_text(f"import sys, time, os\n{code}\n")

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(checking, "MODULE", MODULE)
    return write


def check(folder: Path, *, length: int = 32, beat=lambda: None) -> str:
    return model_check(folder, length=length, beat=beat)


def test_what_fits_is_told_line_by_line_and_other_output_is_left_out(tmp_path, program) -> None:
    program("print('a warning'); print('ok   model: of', *sys.argv[1:])")
    assert check(tmp_path) == f"ok   model: of {tmp_path} --length 32"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "print('ok   a: b'); print('BAD  length: too long'); sys.exit(2)",
            r"fit\. length: too long$",
        ),
        ("os.kill(os.getpid(), 9)", r"ended from outside \(signal 9\)"),
        ("raise ValueError('no such thing')", "broke off: ValueError: no such thing"),
        ("sys.exit(3)", "broke off: it said nothing"),
    ],
)
def test_every_other_end_is_a_sentence(tmp_path, program, code, says) -> None:
    program(code)
    with pytest.raises(ModelUnfit, match=says):
        check(tmp_path)


def test_a_check_that_hangs_is_ended(tmp_path, program, monkeypatch) -> None:
    program("time.sleep(60)")
    monkeypatch.setattr(checking, "PATIENCE", 0.5)
    with pytest.raises(ModelUnfit, match="had not ended"):
        check(tmp_path)


def test_who_lost_the_order_ends_the_program(tmp_path, program) -> None:
    program("open(sys.argv[1] + '/begun', 'w').close(); time.sleep(60)")

    def lost() -> None:
        if (tmp_path / "begun").exists():
            raise KeyError("lost")

    begun = time.monotonic()
    with pytest.raises(KeyError):
        check(tmp_path, beat=lost)
    assert time.monotonic() - begun < 30
