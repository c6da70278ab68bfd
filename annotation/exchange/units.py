"""Rows of a file as they are understood: each by its own shape, some together with their neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from annotation.campaigns.models import PAIR

from .golds import gold_read, is_gold, without_gold
from .reading import SourceRow
from .records import ImportRow, RowRejected
from .shapes import Fields, Shape, Together, shape_of
from .shapes.fields import name_field, split_field

# So many neighbouring rows are read as one at most.
MOST_TOGETHER = 1_000


@dataclass
class Unit:
    """Rows of the file that are read as one: mostly one. Without a shape `problem` says why there is none."""

    rows: list[SourceRow]
    shape: Shape | None = None
    key: str | None = None
    problem: str = ""


@dataclass
class Reading:
    """What a unit became. `refused` are rows with their reasons, `unused` fields that nothing reads."""

    rows: list[ImportRow] = field(default_factory=list)
    refused: list[tuple[SourceRow, str]] = field(default_factory=list)
    unused: list[set[str]] = field(default_factory=list)


def units_of(rows: Iterator[SourceRow], named: Shape | None) -> Iterator[Unit]:
    """The rows with their shapes (`named`: the one that was asked for), neighbours joined."""
    held: Unit | None = None
    for row in rows:
        unit = _unit(row, named)
        if held is not None:
            if _joins(held, unit):
                held.rows.append(row)
                continue
            yield held
        held = unit
    if held is not None:
        yield held


def _unit(row: SourceRow, named: Shape | None) -> Unit:
    if row.fields is None:
        return Unit([row], problem=row.problem)
    try:
        told = without_gold(row.fields)
        shape = named or shape_of(told)
        if named and not (named.asked or named.fits)(told):
            found = ", ".join(sorted(map(str, row.fields))[:12]) or "nothing"
            raise RowRejected(f"The row is not {named.name}: it has the fields {found}.")
        split_field(row.fields)  # by itself, before it is read with its neighbours
    except RowRejected as rejected:
        return Unit([row], problem=str(rejected))
    together = shape.parse if isinstance(shape.parse, Together) else None
    return Unit([row], shape, together.key(row.fields) if together else None)


def _joins(held: Unit, unit: Unit) -> bool:
    return (
        unit.key is not None
        and unit.shape is held.shape
        and unit.key == held.key
        and len(held.rows) < MOST_TOGETHER
    )


def unit_read(unit: Unit, *, split_by: str, answers: int = PAIR) -> Reading:
    """What the unit says to a campaign of so many answers to a prompt; a row that cannot be used is refused with
    its reason, never left out."""
    if unit.shape is None:
        return Reading(refused=[(row, unit.problem) for row in unit.rows])
    fields = [Fields(row.fields or {}) for row in unit.rows]
    try:
        group = _group(fields[0], split_by)
        split, *_ = [split_field(one) for one in fields]
        if isinstance(unit.shape.parse, Together):
            _no_gold(fields)
            found, refused = unit.shape.parse.parse(fields)
        else:
            first, *rest = gold_read(fields[0], unit.shape.parse(fields[0]))
            found, refused = [first, *(row.of_lines(0) for row in rest)], {}
        found = _for_campaign(found, answers)
    except RowRejected as rejected:
        return Reading(refused=[(row, str(rejected)) for row in unit.rows])
    used = [one for place, one in enumerate(fields) if place not in refused]
    return Reading(
        rows=[replace(row, group=group or row.group, split=split) for row in found],
        refused=[(unit.rows[place], reason) for place, reason in sorted(refused.items())],
        unused=[set(one.unused()) for one in used],
    )


def _no_gold(fields: Iterable[Mapping[str, Any]]) -> None:
    if any(is_gold(one) for one in fields):
        raise RowRejected("gold is true, but rows of this shape are read with their neighbours.")


def _for_campaign(rows: list[ImportRow], answers: int) -> list[ImportRow]:
    """The pairs for a campaign of pairs; for one that ranks the whole of them, of just so many answers."""
    wholes = [(row, row.ranked.texts) for row in rows if row.ranked is not None]
    if answers == PAIR:
        if alone := [len(texts) for row, texts in wholes if row.texts is None]:
            raise RowRejected(
                f"The row has {alone[0]} completions in one order, or to be put in one: import it into a"
                f" campaign that ranks {alone[0]} answers."
            )
        return rows
    covered = [row.messages for row, _ in wholes]
    if any(row.texts and row.messages not in covered for row in rows):
        raise RowRejected(f"The row compares two completions; the campaign ranks {answers}.")
    for _, texts in wholes:
        if len(texts) != answers:
            raise RowRejected(
                f"The row has {len(texts)} completions; the campaign ranks {answers}."
            )
        if len(set(texts)) < len(texts):
            raise RowRejected("One completion stands twice among those that are ranked.")
    if not wholes:
        return rows
    return [replace(row, texts=None, votes=()) for row, _ in wholes]


def _group(fields: Mapping[str, Any], split_by: str) -> str:
    key = split_by or "group"
    if key not in fields:
        if split_by:
            raise RowRejected(f"The row has no field {split_by!r} to keep rows together by.")
        return ""
    value = fields[key]
    return "" if value is None and not split_by else name_field(value, key)
