"""How the runs of a round went, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.contracts import RoundRecord
from evaluation.metric_rows import KL, POLICY_KINDS, REWARD_HELD_OUT, REWARD_TRAIN, MetricRow
from evaluation.reports.charts import layers
from evaluation.reports.charts.layers import Chart, Series
from evaluation.reports.charts.palette import HELD_OUT, MARK, TRAIN

MetricRows = Sequence[MetricRow]

SIZE = {"width": 250, "height": 130}


def policy_rows(record: RoundRecord) -> list[MetricRow]:
    """The rows of the run that trained the candidate, whichever optimiser it was."""
    curves = record.training_curves
    return update_rows(next((curves[kind] for kind in POLICY_KINDS if kind in curves), ()))


def update_rows(rows: MetricRows) -> list[MetricRow]:
    """The rows of PPO's updates: only they tell what was learned, a closing measurement does not.

    A run that was killed and resumed reports some steps twice; the later row counts.
    """
    learned = [row for row in rows if row.get("clip_fraction") is not None] or list(rows)
    by_step = {row["step"]: row for row in learned if row.get("step") is not None}
    return [by_step[step] for step in sorted(by_step, key=lambda step: step or 0.0)]


def metric_points(rows: MetricRows, *names: str) -> list[tuple[float, float]]:
    """(step, value) ordered by step, of the first of `names` that any row has.

    Members of an ensemble report the same steps one after the other: their mean is drawn.
    """
    for name in names:
        found: dict[float, list[float]] = {}
        for row in rows:
            step, value = row.get("step"), row.get(name)
            if step is not None and value is not None:
                found.setdefault(step, []).append(value)
        if found:
            return [(step, sum(found[step]) / len(found[step])) for step in sorted(found)]
    return []


def training_charts(record: RoundRecord) -> list[Chart]:
    """Small charts of the reward model's and the policy's runs; one is left out where nothing was logged."""
    policy = policy_rows(record)
    learning = record.training_curves.get("reward_model", ())
    reward_model = [row for row in learning if row.get("loss") is not None]
    charts = [
        _reward(policy),
        _single(policy, KL, "KL to the reference", "nats per reply"),
        _single(policy, ("outlier_share",), "Texts outside the reference's", "share", share=True),
        _single(policy, ("entropy",), "Entropy", "nats per token"),
        _single(policy, ("response_length",), "Reply length", "tokens"),
        _single(policy, ("clip_fraction",), "Clipped tokens", "share", share=True),
        _single(policy, ("implicit_margin",), "Margin between the pairs", "implicit reward"),
        _single(
            policy,
            ("validation_implicit_accuracy",),
            "Validation pairs told apart",
            "share",
            share=True,
        ),
        _single(policy, ("ensemble_std",), "Spread of the reward models", "z"),
        _single(reward_model, ("loss",), "Loss of the reward model", "nats per pair"),
        _single(reward_model, ("accuracy",), "Accuracy of the reward model", "share", share=True),
    ]
    return [chart for chart in charts if chart is not None]


def _reward(rows: MetricRows) -> Chart | None:
    series = [
        Series("training", TRAIN, metric_points(rows, REWARD_TRAIN)),
        Series("held-out", HELD_OUT, metric_points(rows, REWARD_HELD_OUT)),
    ]
    series = [s for s in series if len(s.points) > 1]
    if not series:
        return None
    drawn = layers.lines(series, layers.axis_x("step", whole=True), layers.axis_y("z"))
    words = "; ".join(f"by the {s.name} reward model {_from_to(s.points)}" for s in series)
    return Chart(
        "Reward",
        f"Mean reward {words}.",
        layers.specification(drawn, **SIZE),
        layers.values_of("step", series),
    )


def _single(
    rows: MetricRows, names: Sequence[str], title: str, unit: str, *, share: bool = False
) -> Chart | None:
    points = metric_points(rows, *names)
    if len(points) < 2:
        return None
    series = [Series(title, MARK, points)]
    drawn = layers.lines(
        series,
        layers.axis_x("step", whole=True),
        layers.axis_y(unit, share=share, zero=True),
    )
    return Chart(
        title,
        f"{title} {_from_to(points)}.",
        layers.specification(drawn, **SIZE),
        layers.values_of("step", series),
    )


def _from_to(points: Sequence[tuple[float, float]]) -> str:
    (first, start), (last, end) = points[0], points[-1]
    return f"from {start:.3g} at step {first:g} to {end:.3g} at step {last:g}"
