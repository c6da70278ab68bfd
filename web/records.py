"""Frozen records of rows: what leaves a room says by its fields what it takes along."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from hashlib import blake2s
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

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


def record_shape(kind: type) -> str:
    """A digest of the fields of a record and of the records within it. What a release has kept is read by another
    one only where they are the same: it belongs into the key under which a record is kept."""
    seen: dict[type, str] = {}

    def look(hint: Any) -> None:
        for inner in get_args(hint):
            look(inner)
        if isinstance(hint, type) and is_dataclass(hint) and hint not in seen:
            hints = get_type_hints(hint)
            seen[hint] = f"{hint.__qualname__} {sorted((n, str(h)) for n, h in hints.items())}"
            for inner in hints.values():
                look(inner)

    look(kind)
    return blake2s("\n".join(sorted(seen.values())).encode(), digest_size=6).hexdigest()


def _read(row: object, name: str) -> Any:
    try:
        return getattr(row, name)
    except AttributeError:
        if not name.endswith("_id"):
            raise
        return getattr(row, name.removesuffix("_id"))
