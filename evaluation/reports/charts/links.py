"""One chart for each link of the loop that can break (Lambert and Calandra 2023)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evaluation.contracts import EProcessPoint, KlOptimum, ReliabilityBin, RoundRecord
from evaluation.formatting import rounds_called
from evaluation.metric_rows import REWARD_HELD_OUT, REWARD_TRAIN, kl_of
from evaluation.reports.charts import layers
from evaluation.reports.charts.altair import alt
from evaluation.reports.charts.layers import Chart, Series, Values
from evaluation.reports.charts.palette import HELD_OUT, PEOPLE, RULE, TEXT, TRAIN
from evaluation.reports.charts.training import MetricRows, policy_rows
from evaluation.statistics.curves import CurveFit, fit_gao_law

SIZE = {"width": 250, "height": 170}


def gain_points(rows: MetricRows, scorer: str) -> list[tuple[float, float]]:
    """(d, gain) of each logged update: d = sqrt(KL), gain over the update nearest to the reference.

    This is the plane in which the laws of Gao et al. 2022 are written.
    """
    found = sorted(
        (math.sqrt(max(kl, 0.0)), reward)
        for row in rows
        if (kl := kl_of(row)) is not None and (reward := row.get(scorer)) is not None
    )
    return [(d, reward - found[0][1]) for d, reward in found]


def curve_fits(rows: MetricRows, *, fewest: int = 8) -> tuple[CurveFit, ...]:
    """Gao's law for RL fitted to both rewards of one run; none with fewer than `fewest` points."""
    fits = []
    for scorer, name in (("train", REWARD_TRAIN), ("held_out", REWARD_HELD_OUT)):
        points = [(d, gain) for d, gain in gain_points(rows, name) if d > 0]
        if len({d for d, _ in points}) >= fewest:
            kl, gains = [d * d for d, _ in points], [gain for _, gain in points]
            fits.append(fit_gao_law(kl, gains, law="rl", scorer=scorer))
    return tuple(fits)


def reward_by_distance(record: RoundRecord) -> Chart | None:
    """sqrt(KL) -> gain by the training and the held-out reward model, with the fitted laws."""
    rows = policy_rows(record)
    series = [
        Series("training", TRAIN, gain_points(rows, REWARD_TRAIN)),
        Series("held-out", HELD_OUT, gain_points(rows, REWARD_HELD_OUT)),
    ]
    series = [s for s in series if len(s.points) > 1]
    if not series:
        return None
    farthest = max(s.points[-1][0] for s in series)
    found = curve_fits(rows)
    colours = {"train": TRAIN, "held_out": HELD_OUT}
    fits = [
        Series(f"law fitted to {fit.scorer}", colours[fit.scorer], law_points(fit, farthest), True)
        for fit in found
    ]
    x = layers.axis_x("distance from the reference, √KL (√nats)", zero=True)
    y = layers.axis_y("gain in reward (z)")
    names = [s.name for s in series]
    dots = (
        alt.Chart(layers.data([row for s in series for row in s.rows()]))
        .mark_point(filled=True, size=32, opacity=0.85)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "series:N", scale=alt.Scale(domain=names, range=[s.colour for s in series])
            ),
        )
    )
    parts = [dots, layers.level_rule(0.0)]
    parts += [_law_line(fit, x, y) for fit in fits]
    forecast = forecast_used(record)
    if forecast is not None:
        parts.append(_distance_rule(math.sqrt(forecast.nats)))
    return Chart(
        "Reward against distance",
        _distance_words(series, found, forecast),
        layers.specification(alt.layer(*parts), **SIZE),
        layers.values_of("√KL", series),
    )


def law_points(fit: CurveFit, farthest: float, count: int = 40) -> list[tuple[float, float]]:
    """The fitted law over (0, farthest]: R_RL = d(alpha - beta log d), R_BoN = d(alpha - beta d)."""
    points = []
    for index in range(1, count + 1):
        d = farthest * index / count
        bend = math.log(d) if fit.law == "rl" else d
        points.append((d, d * (fit.alpha - fit.beta * bend)))
    return points


def forecast_used(record: RoundRecord) -> KlOptimum | None:
    """The optimum of earlier rounds, where the gate held the candidate to it and not to the budget."""
    check = record.gate.check("G4") if record.gate else None
    forecast = record.kl_optimum
    if check is None or forecast is None or check.thresholds.get("budget") != forecast.nats:
        return None
    return forecast


def _distance_rule(d: float) -> alt.Chart:
    """A dashed upright at distance `d`: how far the gate let the candidate go."""
    rule = alt.Chart(layers.data([{"x": d}])).mark_rule(color=TEXT, strokeDash=[2, 3])
    return rule.encode(x=alt.X("x:Q"))


def _law_line(fit: Series, x: alt.X, y: alt.Y) -> alt.Chart:
    drawn = alt.Chart(layers.data(fit.rows())).mark_line(
        color=fit.colour, strokeDash=[5, 4], strokeWidth=1.5
    )
    return drawn.encode(x=x, y=y)


def _distance_words(
    series: Sequence[Series], fits: Sequence[CurveFit], forecast: KlOptimum | None
) -> str:
    words = [
        f"The {s.name} reward model sees a gain of {s.points[-1][1]:.2f} z at √KL {s.points[-1][0]:.2f}."
        for s in series
    ]
    words += [
        f"The law fitted to the {fit.scorer.replace('_', '-')} reward peaks at {fit.optimum_kl:.1f} nats."
        for fit in fits
        if fit.optimum_kl is not None
    ]
    if forecast is not None:
        words.append(
            f"The upright stands at {forecast.nats:.1f} nats, the optimum fitted on "
            f"{rounds_called(forecast.rounds)}, to which the gate held the candidate."
        )
    return " ".join(words)


def reliability(record: RoundRecord) -> Chart | None:
    """What the reward model said against what people said, in bins; a perfect one is the diagonal."""
    split = record.reward_model.split("test", "validation") if record.reward_model else None
    bins: Sequence[ReliabilityBin] = split.reliability if split else ()
    filled = [b for b in bins if b.count > 0]
    if len(filled) < 2:
        return None
    low = min(0.5, *(min(b.predicted, b.observed) for b in filled))
    low = math.floor(low * 10) / 10
    scale = alt.Scale(domain=[low, 1.0], nice=False)
    x = alt.X(
        "x:Q", axis=alt.Axis(title="confidence of the reward model", format=".0%"), scale=scale
    )
    y = alt.Y("y:Q", axis=alt.Axis(title="share in which people agree", format=".0%"), scale=scale)
    diagonal = (
        alt.Chart(layers.data([{"x": low, "y": low}, {"x": 1.0, "y": 1.0}]))
        .mark_line(color=RULE, strokeDash=[4, 4], strokeWidth=1)
        .encode(x=x, y=y)
    )
    rows = [{"x": b.predicted, "y": b.observed, "count": b.count} for b in filled]
    base = alt.Chart(layers.data(rows)).encode(x=x, y=y)
    size = alt.Size("count:Q", scale=alt.Scale(range=[20, 260]), legend=None)
    dots = base.mark_point(color=TRAIN, filled=True, opacity=0.85).encode(size=size)
    drawn = alt.layer(diagonal, base.mark_line(color=TRAIN, strokeWidth=1.5), dots)
    words = "; ".join(f"{b.predicted:.0%} said, {b.observed:.0%} so" for b in filled)
    return Chart(
        "Reliability",
        f"In {len(filled)} bins: {words}.",
        layers.specification(drawn, **SIZE),
        Values(
            ("confidence", "agreed", "pairs"),
            tuple((b.predicted, b.observed, float(b.count)) for b in filled),
        ),
    )


def evidence(record: RoundRecord) -> Chart | None:
    """labels -> win rate with its confidence sequence, and below it the e-value that decides."""
    points = record.trajectory
    if len(points) < 2:
        return None
    check = record.gate.check("G1") if record.gate else None
    needed = check.thresholds.get("e_value") if check else None
    drawn = alt.vconcat(
        _confidence_sequence(points), _e_values(points, needed), spacing=14
    ).resolve_scale(x="shared")
    last = points[-1]
    words = (
        f"After {last.labels} labels the win rate is {last.win_rate:.0%}, inside "
        f"{last.low:.0%} to {last.high:.0%} at every look; the evidence stands at {last.e_value:.3g}"
    )
    words += f" of {needed:.3g} needed." if needed else "."
    values = tuple((float(p.labels), p.win_rate, p.low, p.high, p.e_value) for p in points)
    columns = ("labels", "win rate", "from", "to", "evidence")
    return Chart(
        "Evidence from labels", words, layers.specification(drawn), Values(columns, values)
    )


def _confidence_sequence(points: Sequence[EProcessPoint]) -> alt.LayerChart:
    rows = [
        {"x": float(p.labels), "y": p.win_rate, "low": p.low, "high": p.high}
        for p in thinned(points)
    ]
    x = alt.X("x:Q", axis=alt.Axis(title=None, labels=False, ticks=False))
    y = layers.axis_y("win rate", share=True)
    base = alt.Chart(layers.data(rows)).encode(x=x)
    band = base.mark_area(color=PEOPLE, opacity=0.18, interpolate="step-after").encode(
        y=alt.Y(
            "low:Q", axis=alt.Axis(title="win rate", format=".0%"), scale=alt.Scale(zero=False)
        ),
        y2="high:Q",
    )
    line = base.mark_line(color=PEOPLE).encode(y=y)
    drawn: alt.LayerChart = alt.layer(band, line, layers.level_rule(0.5)).properties(
        width=250, height=110
    )
    return drawn


def _e_values(points: Sequence[EProcessPoint], needed: float | None) -> alt.LayerChart:
    rows = [{"x": float(p.labels), "y": max(p.e_value, 1e-3)} for p in thinned(points)]
    scale = alt.Scale(type="log", nice=False)
    axis = alt.Axis(title="evidence", format="~g", values=_powers_of_ten(rows))
    y = alt.Y("y:Q", axis=axis, scale=scale)
    x = alt.X("x:Q", axis=alt.Axis(title="labels", format="d"))
    line = alt.Chart(layers.data(rows)).mark_line(color=PEOPLE).encode(x=x, y=y)
    parts = [line] if needed is None else [line, layers.level_rule(needed)]
    drawn: alt.LayerChart = alt.layer(*parts).properties(width=250, height=60)
    return drawn


def _powers_of_ten(rows: Sequence[Mapping[str, float]]) -> list[float]:
    """At most six powers of ten over the range of y, so that the grid stays quiet."""
    low = math.floor(math.log10(min(row["y"] for row in rows)))
    high = math.ceil(math.log10(max(row["y"] for row in rows)))
    step = max(1, math.ceil((high - low) / 5))
    return [10.0**power for power in range(low, high + 1, step)]


def thinned(points: Sequence[EProcessPoint], most: int = 200) -> list[EProcessPoint]:
    """At most about `most` points, evenly taken; the highest evidence and the end are always kept."""
    if len(points) <= most:
        return list(points)
    step = len(points) / most
    kept = [points[int(index * step)] for index in range(most)]
    peak = max(points, key=lambda p: p.e_value)
    chosen = {p.labels: p for p in [*kept, peak, points[-1]]}
    return [chosen[labels] for labels in sorted(chosen)]
