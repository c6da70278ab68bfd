"""The pieces that charts are laid together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.reports.charts.altair import alt
from evaluation.reports.charts.palette import RULE

Row = Mapping[str, float | str | None]


@dataclass(frozen=True)
class Values:
    """The numbers that a chart draws: `rows` under `columns`, by the first of them; None: not measured."""

    columns: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification, with the words and numbers that stand for it where it cannot be seen."""

    title: str
    description: str
    spec: dict[str, Any]
    values: Values


@dataclass(frozen=True)
class Series:
    """One named line: `points` are (x, y), in order of x."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False

    def rows(self) -> list[dict[str, Any]]:
        return [{"x": x, "y": y, "series": self.name} for x, y in self.points]


def values_of(x: str, series: Sequence[Series]) -> Values:
    """One row for each x of any series, a column for each series."""
    found = [dict(s.points) for s in series]
    places = sorted({at for points in found for at in points})
    rows = tuple((at, *(points.get(at) for points in found)) for at in places)
    return Values((x, *(s.name for s in series)), rows)


def data(rows: Sequence[Row]) -> alt.Data:
    return alt.Data(values=[dict(row) for row in rows])


def axis_x(title: str, *, zero: bool = False, whole: bool = False) -> alt.X:
    axis = alt.Axis(title=title, format="d", tickMinStep=1) if whole else alt.Axis(title=title)
    return alt.X("x:Q", axis=axis, scale=alt.Scale(zero=zero, nice=not whole))


def axis_y(title: str, *, share: bool = False, zero: bool = False) -> alt.Y:
    axis = alt.Axis(title=title, format=".0%") if share else alt.Axis(title=title)
    return alt.Y("y:Q", axis=axis, scale=alt.Scale(zero=zero))


def lines(
    series: Sequence[Series], x: alt.X, y: alt.Y, *, points: bool = False, legend: bool = True
) -> alt.Chart:
    """All series on one pair of axes, told apart by colour and, where asked, by dashes."""
    names = [s.name for s in series]
    return (
        alt.Chart(data([row for s in series for row in s.rows()]))
        .mark_line(point={"size": 22} if points else False)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "series:N",
                scale=alt.Scale(domain=names, range=[s.colour for s in series]),
                legend=alt.Legend() if legend and len(series) > 1 else None,
            ),
            strokeDash=alt.StrokeDash(
                "series:N",
                scale=alt.Scale(
                    domain=names, range=[[5, 4] if s.dashed else [1, 0] for s in series]
                ),
                legend=None,
            ),
        )
    )


def level_rule(value: float) -> alt.Chart:
    """A dashed line across the chart at `value`: a threshold, or what chance would give."""
    return (
        alt.Chart(data([{"y": value}]))
        .mark_rule(color=RULE, strokeDash=[4, 4])
        .encode(y=alt.Y("y:Q"))
    )


def specification(chart: Any, *, width: int = 0, height: int = 0) -> dict[str, Any]:
    """The plain dictionary of a chart, with its plot's size in px unless its parts have their own.

    Altair's own validation against the schema is left out: it costs more than everything else, and
    a specification that is wrong fails when it is rendered.
    """
    sized = chart.properties(width=width, height=height) if width else chart
    with alt.data_transformers.disable_max_rows():
        spec: dict[str, Any] = sized.to_dict(validate=False)
    return spec
