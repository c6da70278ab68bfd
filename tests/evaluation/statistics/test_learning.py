"""A learning curve over rounds and over seeds, against independent formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.learning import (
    AccuracyPoint,
    LearningCurve,
    curve_of_rounds,
    curve_of_seeds,
)


def rounds(*accuracies: float, error: float = 0.01) -> list[AccuracyPoint]:
    return [AccuracyPoint(100 * 2**n, said, error) for n, said in enumerate(accuracies)]


def curve(*accuracies: float, error: float = 0.01) -> LearningCurve:
    found = curve_of_rounds(rounds(*accuracies, error=error))
    assert found is not None
    return found


def test_each_doubling_brings_the_slope() -> None:
    found = curve(0.6, 0.63, 0.66, 0.69)
    assert found.slope == pytest.approx(0.03)
    expected = found.accuracy_at(1600)
    assert expected is not None
    assert expected.estimate == pytest.approx(0.72)
    assert found.labels_for(0.66).labels == 400
    assert found.labels_for(0.75).labels == 3200


def test_rounds_weigh_by_what_is_known_of_them() -> None:
    points = [
        AccuracyPoint(n, said, error)
        for n, said, error in ((100, 0.6, 0.01), (300, 0.65, 0.02), (500, 0.6, 0.03), (900, 0.7, 0.01))
    ]  # fmt: skip
    found = curve_of_rounds(points)
    assert found is not None
    x = np.log2([point.labels for point in points])
    weights = [1 / point.error for point in points]
    (slope, level), covariance = np.polyfit(
        x, [point.accuracy for point in points], 1, w=weights, cov="unscaled"
    )
    rest = np.array([p.accuracy for p in points]) - level - slope * x
    birge = max(1.0, float(np.sum((rest * weights) ** 2)) / 2)
    assert birge > 1
    assert found.slope == pytest.approx(slope)
    assert found.slope_variance == pytest.approx(birge * covariance[0, 0])
    expected = found.accuracy_at(400)
    assert expected is not None
    at = np.array([math.log2(400), 1.0])
    spread = math.sqrt(birge * at @ covariance @ at)
    assert expected.estimate == pytest.approx(slope * at[0] + level)
    assert expected.high - expected.estimate == pytest.approx(1.959964 * spread, rel=1e-5)


def test_the_interval_of_labels_ends_where_the_accuracys_does() -> None:
    found = curve(0.6, 0.64, 0.66, 0.7, 0.72)
    needed = found.labels_for(0.68)
    assert needed.low is not None
    assert needed.high is not None
    assert needed.labels is not None
    assert needed.low < needed.labels < needed.high
    for labels, end in ((needed.low, "high"), (needed.high, "low")):
        expected = found.accuracy_at(labels)
        assert getattr(expected, end) == pytest.approx(0.68, abs=0.001)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    truth, inside = 0.6 + 0.03 * np.arange(4), 0
    for _ in range(400):
        found = curve(*(truth + rng.normal(0, 0.005, 4)), error=0.005)
        needed = found.labels_for(0.66)
        inside += (
            needed.low is not None and needed.high is not None and needed.low <= 400 <= needed.high
        )
    assert (
        stats.binomtest(inside, 400, 0.96).pvalue > 0.001
    )  # Birge's ratio only widens: 95 % and a little more


def test_where_labels_have_not_helped_none_are_promised() -> None:
    assert curve(0.7, 0.69, 0.68).labels_for(0.75).labels is None
    unsure = curve(0.65, 0.64, 0.66, error=0.03).labels_for(0.655)
    assert unsure.labels is not None
    assert (unsure.low, unsure.high) == (None, None)


def test_far_from_what_was_measured_nothing_is_said() -> None:
    found = curve(0.6, 0.61, 0.62)
    assert found.accuracy_at(4001) is None
    assert found.accuracy_at(49) is None
    assert found.accuracy_at(4000) is not None
    assert found.labels_for(0.9).labels is None
    assert found.labels_for(0.51).labels == 50


@pytest.mark.parametrize(
    "points",
    [rounds(0.6, 0.7), [AccuracyPoint(n, 0.6, 0.01) for n in (100, 120, 199)], rounds(0.6, 0.7, 0.8, error=0.0), []],
)  # fmt: skip
def test_too_little_gives_no_curve(points: list[AccuracyPoint]) -> None:
    assert curve_of_rounds(points) is None


def test_seeds_are_what_is_independent() -> None:
    accuracies = np.array([[0.6, 0.66], [0.62, 0.64], [0.58, 0.68]])
    found = curve_of_seeds((100, 200), accuracies)
    assert found.slope == pytest.approx(0.06)
    expected = found.accuracy_at(200)
    assert expected is not None
    low, high = stats.t.interval(0.95, 2, accuracies[:, 1].mean(), stats.sem(accuracies[:, 1]))
    assert (expected.low, expected.high) == pytest.approx((low, high))
