"""What choosing the best of n by the reward model is worth (Gao, Schulman and Hilton 2022, Fig. 1)."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.contracts import BestOfNCurve, BestOfNPoint, Interval, RoundRecord
from evaluation.formatting import number
from evaluation.reports.charts import layers
from evaluation.reports.charts.altair import alt
from evaluation.reports.charts.layers import Chart, Series, Values
from evaluation.reports.charts.palette import HELD_OUT, TRAIN

COLUMNS = (
    "n", "KL at most", "training", "training from", "training to",
    "held-out", "held-out from", "held-out to",
)  # fmt: skip


def best_of_n(record: RoundRecord) -> Chart | None:
    """KL of best-of-n -> expected training and held-out reward, each with its interval."""
    found = record.policy.best_of_n if record.policy else None
    if found is None or len(found.points) < 2:
        return None
    points = found.points
    x, y = layers.axis_x("KL of best of n, at most (nats)", zero=True), layers.axis_y("reward (z)")
    series = [
        Series("training", TRAIN, [(p.kl_bound, p.train.estimate) for p in points]),
        Series("held-out", HELD_OUT, [(p.kl_bound, p.held_out.estimate) for p in points]),
    ]
    bands = [
        _band(points, [p.train for p in points], TRAIN, x),
        _band(points, [p.held_out for p in points], HELD_OUT, x),
    ]
    drawn = alt.layer(*bands, layers.lines(series, x, y, points=True))
    return Chart(
        "Reward of the best of n",
        _words(found),
        layers.specification(drawn, width=280, height=170),
        Values(COLUMNS, tuple(_numbers(p) for p in points)),
    )


def _band(
    points: Sequence[BestOfNPoint], intervals: Sequence[Interval], colour: str, x: alt.X
) -> alt.Chart:
    rows = [
        {"x": point.kl_bound, "low": found.low, "high": found.high}
        for point, found in zip(points, intervals, strict=True)
    ]
    low = alt.Y("low:Q", axis=alt.Axis(title="reward (z)"), scale=alt.Scale(zero=False))
    band = alt.Chart(layers.data(rows)).mark_area(color=colour, opacity=0.18)
    return band.encode(x=x, y=low, y2="high:Q")


def _numbers(point: BestOfNPoint) -> tuple[float, ...]:
    ends = [(found.estimate, found.low, found.high) for found in (point.train, point.held_out)]
    return (float(point.n), point.kl_bound, *ends[0], *ends[1])


def _words(found: BestOfNCurve) -> str:
    first, last = found.points[0], found.points[-1]
    return (
        f"On {found.prompts} evaluation prompts, {found.completions} replies of the reference policy each: "
        f"choosing the best of {last.n} by the reward model takes its own reward from "
        f"{first.train.estimate:.2f} to {last.train.estimate:.2f} z and the held-out reward from "
        f"{first.held_out.estimate:.2f} to {last.held_out.estimate:.2f} z. {_peak(found.points)}"
    )


def _peak(points: Sequence[BestOfNPoint]) -> str:
    """Where the held-out curve stops rising, as far as it was measured and can be told."""
    place = max(range(len(points)), key=lambda i: points[i].held_out.estimate)
    top = points[place]
    if place == len(points) - 1:
        return f"The held-out reward is highest at the largest n measured, {top.n}; {_last(points)}"
    after = points[place + 1]
    at = (
        "with no choice at all, at n = 1"
        if place == 0
        else f"at the best of {top.n} (at most {top.kl_bound:.2f} nats)"
    )
    step = f"from there to the best of {after.n} it changes by {number(after.held_out_step, 'z')}"
    return f"The held-out reward is highest {at}; {step}, {_told(after.held_out_step)}."


def _last(points: Sequence[BestOfNPoint]) -> str:
    before, step = points[-2], points[-1].held_out_step
    said = f"the step from the best of {before.n} to it is {number(step, 'z')}"
    if step is not None and step.low > 0:
        return f"{said}, so within what was measured it does not stop rising."
    return f"{said}, so whether it still rises there cannot be told."


def _told(step: Interval | None) -> str:
    if step is not None and step.high < 0:
        return "so it falls"
    return "which cannot be told from standing still"
