"""Records made of rows: every field from somewhere, or an error that names it."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from web.records import record_of, record_shape


@dataclass(frozen=True)
class Made:
    name: str
    line_id: int
    rows: int = 0


def test_fields_are_read_by_name_and_an_identity_without_its_ending():
    row = SimpleNamespace(name="one", line=7, rows=3, more="left out")
    assert record_of(Made, row) == Made("one", 7, 3)


def test_what_is_given_is_not_read():
    assert record_of(Made, SimpleNamespace(name="one", line=7), rows=4) == Made("one", 7, 4)


def test_a_field_that_the_row_lacks_is_an_error_that_names_it():
    with pytest.raises(AttributeError, match="rows"):
        record_of(Made, SimpleNamespace(name="one", line=7))


def test_the_shape_of_a_record_changes_with_its_fields_and_those_of_the_records_within():
    def kept(*inner):
        row: Any = make_dataclass("Row", inner)
        return make_dataclass("Kept", [("rows", tuple[row, ...] | None)])

    plain = record_shape(kept(("name", str)))
    assert record_shape(kept(("name", str))) == plain
    others = [kept(("name", int)), kept(("name", str), ("more", int)), kept(("title", str))]
    assert len({plain, *map(record_shape, others)}) == 4
