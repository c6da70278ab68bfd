"""Frozen records of rows: what leaves a room says by its fields what it takes along."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def record_of(kind: type[Record], row: object, /, **given: Any) -> Record:
    """A record of the row: each field that is not `given` is read under its own name.

    A row that holds the identity of another room's row calls it `line` or `round`; the record, which
    is met outside, calls it `line_id` or `round_id`.
    """
    names = [field.name for field in fields(kind) if field.name not in given]
    return kind(**{name: _read(row, name) for name in names}, **given)


def _read(row: object, name: str) -> Any:
    try:
        return getattr(row, name)
    except AttributeError:
        if not name.endswith("_id"):
            raise
        return getattr(row, name.removesuffix("_id"))
