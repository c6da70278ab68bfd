"""The plain values that templates are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.safestring import SafeString, mark_safe

from evaluation.contracts import Interval
from evaluation.reports.charts import Chart, chart_svg


@dataclass(frozen=True)
class Mark:
    """An interval on a small axis from `minimum` to `maximum`; `says` is read aloud."""

    low: float
    point: float
    high: float
    threshold: float | None
    minimum: float
    maximum: float
    meaning: str
    says: str


@dataclass(frozen=True)
class Figure:
    """A rendered chart with its words; a `wide` one may be scrolled on a phone."""

    title: str
    description: str
    svg: SafeString
    wide: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a plain table: its name and its cells."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class LabelledRow:
    """A row whose `cells` are pairs of heading and cell."""

    name: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    caption: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]

    def labelled(self) -> Iterator[LabelledRow]:
        """The rows with the heading beside every cell, since a phone shows no columns."""
        for row in self.rows:
            yield LabelledRow(row.name, tuple(zip(self.headings, row.cells, strict=True)))


def figure(chart: Chart | None, *, wide: bool = False) -> Figure | None:
    if chart is None:
        return None
    svg = mark_safe(chart_svg(chart))  # noqa: S308  (cleaned: known tags and attributes only)
    return Figure(chart.title, chart.description, svg, wide)


def mark(
    found: Interval | None, *, threshold: float | None, meaning: str, says: str
) -> Mark | None:
    """The interval with its threshold on an axis that holds both with some room to either side."""
    if found is None:
        return None
    ends = [found.low, found.high] + ([] if threshold is None else [threshold])
    room = 0.15 * (max(ends) - min(ends)) or 0.5
    return Mark(
        low=found.low,
        point=found.estimate,
        high=found.high,
        threshold=threshold,
        minimum=min(ends) - room,
        maximum=max(ends) + room,
        meaning=meaning,
        says=says,
    )
