"""The tables that leave the quality pages as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

from annotation.statistics.estimates import Gauged

from .pages import PersonRow
from .rankings import RankingPerson

Cell = str | int | float | None
SHARES = ("with_others", "reliability", "gold", "repeats", "left", "longer")


def csv_answer(name: str, rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """A file to download; no cell of it is a formula for a spreadsheet."""
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    csv.writer(answer).writerows([cell_harmless(cell) for cell in row] for row in rows)
    return answer


def cell_harmless(cell: Cell) -> Cell:
    """Text that a spreadsheet would run as a formula, with an apostrophe before it."""
    risky = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if risky else cell


def people_table(people: Sequence[PersonRow]) -> Iterable[list[Cell]]:
    """A header, then a row a person; a share comes with its interval and with how much it rests on."""
    parts = [f"{name}{end}" for name in SHARES for end in ("", "_low", "_high", "_n")]
    yield ["person", "pseudonym", "excluded", "labels", "median_seconds", *parts, "signs"]
    for person in people:
        shares = [cell for name in SHARES for cell in _cells(getattr(person, name))]
        yield [
            person.name,
            person.pseudonym,
            "yes" if person.excluded else "no",
            person.labels,
            person.seconds,
            *shares,
            "; ".join(person.signs),
        ]


def ranking_people_table(people: Sequence[RankingPerson]) -> Iterable[list[Cell]]:
    """The same of a campaign that ranks: a ranking counts once, and no share is of it."""
    yield ["person", "pseudonym", "rankings", "median_seconds"]
    for person in people:
        yield [person.name, person.pseudonym, person.rankings, person.seconds]


def _cells(found: Gauged | None) -> list[Cell]:
    if found is None:
        return [None] * 4
    return [*(round(each, 4) for each in (found.value, found.low, found.high)), found.n]
