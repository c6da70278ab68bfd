"""What the mutation tests do before and after mutmut: open decorated functions to it, and count."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutants import ROOMS, Outcome, again, row_of, transactions_moved
from benchmarks.results_file import ROOT

BEFORE = '''"""Doc."""
from django.db import transaction


@transaction.atomic
def one(
    *, a: int
) -> int:
    return a


@other
def two() -> None:
    """Not touched."""


class Kept:
    @transaction.atomic
    def method(self) -> None: ...


@transaction.atomic
def last() -> None:
    one(a=1)
'''


def test_a_function_in_a_transaction_is_open_to_mutmut_and_still_in_one() -> None:
    moved = transactions_moved(BEFORE)
    assert "    return a\none = transaction.atomic(one)\n\n\n@other\ndef two" in moved
    assert moved.endswith("    one(a=1)\nlast = transaction.atomic(last)\n")
    assert moved.count("@transaction.atomic") == 1  # that of the method
    compile(moved, "moved", "exec")


def test_what_was_left_and_is_noticed_now_counts_as_noticed() -> None:
    row = row_of(Outcome(7, 1, ["a\n- x", "b\n- y", "c\n- z"]), made=90, sample=11, seed=4)
    assert (row["mutants"], row["killed"], row["share"]) == (10, 7, 0.7)
    assert (row["sampled"], row["of"], row["seed"]) == (True, 90, 4)
    later = row_of(again(row, Outcome(2, 1, [])), made=90, sample=11, seed=4)
    assert (later["mutants"], later["killed"], later["equivalent"]) == (9, 9, 2)
    assert later["share"] == 1.0


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_s_tests_are_there_and_each_of_its_modules_has_some(name: str) -> None:
    room = ROOMS[name]
    assert all((ROOT / tests).exists() for tests in room.tests)
    found = {Path(tests).stem.removeprefix("test_") for tests in room.tests}
    for names in room.narrow.values():
        assert set(names.split()) <= found
    mutated = {path.stem for pattern in room.files for path in ROOT.glob(pattern)}
    if room.narrow:
        assert mutated - {"__init__", "__pycache__"} <= set(room.narrow)
