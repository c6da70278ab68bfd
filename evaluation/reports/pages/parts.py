"""The plain values that templates are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.safestring import SafeString, mark_safe

from evaluation.contracts import Interval
from evaluation.formatting import NOT_MEASURED
from evaluation.reports.charts import Chart, chart_svg

MOST_VALUES = 25  # rows of a chart's table; more of them are thinned evenly


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
    """A rendered chart with its words and its numbers; a `wide` one may be scrolled on a phone."""

    title: str
    description: str
    svg: SafeString
    values: Table
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
    return Figure(chart.title, chart.description, svg, values_table(chart), wide)


def values_table(chart: Chart) -> Table:
    """The chart's numbers, about `MOST_VALUES` of them evenly taken, the last one among them."""
    rows, columns = chart.values.rows, chart.values.columns
    step = max(1, -(-len(rows) // MOST_VALUES))
    shown = [*rows[:-1:step], *rows[-1:]]
    taken = f": {len(shown)} of {len(rows)} points" if step > 1 else ""
    return Table(
        f"{chart.title} in numbers{taken}",
        columns,
        tuple(Row(_digits(row[0]), tuple(_digits(value) for value in row[1:])) for row in shown),
    )


def _digits(value: float | None) -> str:
    """1,200 of a count, four digits of a measurement."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"


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
