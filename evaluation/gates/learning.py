"""How many labels a reward model of some accuracy takes, by the line's own rounds or by what was measured elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from evaluation.contracts import Interval
from evaluation.reports.selectors import reward_models_measured
from evaluation.statistics.learning import (
    FAR,
    AccuracyPoint,
    LabelsNeeded,
    LearningCurve,
    curve_of_rounds,
    curve_of_seeds,
)
from evaluation.statistics.quantiles import normal_quantile

ROUNDS = 50  # the last ones that a curve is fitted to

# benchmarks/results/label_efficiency.json, pairs drawn at random: a row a seed
BENCHMARK_LABELS = (200, 400, 600)
BENCHMARK_ACCURACIES = (
    (0.6330275229357798, 0.6422018348623854, 0.6880733944954128),
    (0.5533453887884268, 0.6980108499095841, 0.6835443037974683),
    (0.6881918819188192, 0.7011070110701108, 0.7214022140221402),
    (0.6254681647940075, 0.6441947565543071, 0.7191011235955056),
    (0.6245421245421245, 0.6703296703296703, 0.6923076923076923),
)
OF_ROUNDS = (
    "By {models} rounds of this line, {fewest:,} to {most:,} labels in their snapshots (a ranking counts as its"
    " pairs), on the pairs that each held out."
)
OF_BENCHMARK = (
    "Not by this line, whose reported rounds are fewer than three or hold less than twice the labels from first to"
    " last: by this software's own benchmark, {models} small reward models of a made-up world on five seeds,"
    " {fewest:,} to {most:,} labels of pairs at random, judged by the world's hidden truth. Other data and"
    " models learn at another pace: take it for an order of magnitude."
)


@dataclass(frozen=True)
class LineLearning:
    """`says` names what the curve rests on; `own`: on the line's rounds. `there` are the labels that the
    line's last reward model learned from, 0 before there is one."""

    curve: LearningCurve
    own: bool
    there: int
    says: str


def line_learning(line_id: UUID | None) -> LineLearning:
    """Without a line, or before its rounds say it, the benchmark's curve, named as such."""
    models = reward_models_measured(line_id, newest=ROUNDS) if line_id else []
    there = models[-1].labels if models else 0
    own = curve_of_rounds([_point(model.labels, model.accuracy) for model in models])
    curve = own or curve_of_seeds(BENCHMARK_LABELS, np.array(BENCHMARK_ACCURACIES))
    said = (OF_ROUNDS if own else OF_BENCHMARK).format(
        models=curve.models, fewest=curve.fewest, most=curve.most
    )
    return LineLearning(curve, own is not None, there, said)


def _point(labels: int, accuracy: Interval) -> AccuracyPoint:
    width = accuracy.high - accuracy.low
    return AccuracyPoint(
        labels, accuracy.estimate, width / 2 / normal_quantile((1 + accuracy.level) / 2)
    )


@dataclass(frozen=True)
class AccuracyForecast:
    """With the labels of the design, and until `wanted` is reached; `days` and `cost` of what is still to come,
    None where it is not known how many. `ceiling` is how often who is right about every pair agrees with one vote.
    """

    learning: LineLearning
    labels: int
    expected: Interval | None
    wanted: float
    needed: LabelsNeeded
    days: int | None
    cost: float | None
    ceiling: float


def accuracy_forecast(
    learning: LineLearning,
    *,
    wanted: float,
    training_labels: int,
    agreement: float,
    labels_a_day: float,
    cost_a_label: float,
) -> AccuracyForecast:
    """The design's training labels come on top of those that are there, where the curve is the line's own."""
    labels = training_labels + (learning.there if learning.own else 0)
    needed = learning.curve.labels_for(wanted)
    to_come = None if needed.labels is None else max(0, needed.labels - learning.there)
    return AccuracyForecast(
        learning=learning,
        labels=labels,
        expected=learning.curve.accuracy_at(labels),
        wanted=wanted,
        needed=needed,
        days=None if to_come is None else math.ceil(to_come / labels_a_day),
        cost=None if to_come is None else to_come * cost_a_label,
        ceiling=(1 + math.sqrt(2 * agreement - 1)) / 2,
    )


def forecast_words(found: AccuracyForecast) -> list[tuple[str, str]]:
    """(what, how much) for the page and the terminal."""
    curve, wanted = found.learning.curve, f"{found.wanted:.0%}"
    expected = f"not known: too far from the {curve.fewest:,} to {curve.most:,} that were measured"
    if found.expected is not None:
        beyond = ", beyond what was measured" if found.labels > curve.most else ""
        low, high = found.expected.low, found.expected.high
        expected = f"about {found.expected.estimate:.0%} ({low:.0%} to {high:.0%}){beyond}"
    rows = [
        (f"Accuracy with {found.labels:,} labels", expected),
        (f"Labels until {wanted} accurate", _needed(found.needed, curve)),
    ]
    if found.days is not None and found.needed.labels is not None:
        there = f", {found.learning.there:,} of them are there" if found.learning.there else ""
        money = f", cost about {found.cost:,.2f}" if found.cost else ""
        rows.append((f"Days until {wanted} accurate", f"about {found.days:,}{money}{there}"))
    if found.wanted > found.ceiling:
        said = f"{found.ceiling:.0%} of single votes at this agreement: {wanted} of them no model reaches"
        rows.append(("Right about every pair is right about", said))
    return rows


def _needed(needed: LabelsNeeded, curve: LearningCurve) -> str:
    if needed.labels is None:
        if curve.slope <= 0:
            return "not known: more labels have not made the reward models better so far"
        return f"more than {FAR * curve.most:,.0f}, too far from what was measured to say"
    if needed.labels <= curve.least:
        return f"{curve.least:,} or fewer"
    beyond = ", beyond what was measured" if needed.labels > curve.most else ""
    if needed.low is None and needed.high is None:
        return f"about {needed.labels:,}, with no bounds: that labels help is not shown yet{beyond}"
    high = f"{needed.high:,}" if needed.high is not None else "no bound"
    low = f"{needed.low:,}" if (needed.low or 0) > curve.least else f"{curve.least:,} or fewer"
    return f"about {needed.labels:,} ({low} to {high}){beyond}"
