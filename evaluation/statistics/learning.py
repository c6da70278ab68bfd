"""How accurate a reward model gets with more labels, as measured: a line over the logarithm of the labels.

accuracy = level + slope * log2(labels), so that each doubling brings the same gain. Stiennon et al. 2020
("Learning to summarize from human feedback", section 4.3) found it so for 8 to 64 thousand labels. It
cannot hold for ever: what lies far beyond the labels that were measured is not answered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.quantiles import normal_quantile, t_quantile

__all__ = [
    "FAR",
    "AccuracyPoint",
    "LabelsNeeded",
    "LearningCurve",
    "curve_of_rounds",
    "curve_of_seeds",
]

LEVEL = 0.95
# Without so many rounds, and so many times the labels of the least in the most, no curve is fitted.
FEWEST, SPREAD = 3, 2.0
# Beyond so many times the most labels measured, or a part of the fewest, it says nothing.
FAR, NEAR = 10.0, 2.0


@dataclass(frozen=True)
class AccuracyPoint:
    """A reward model of `labels`, its held-out accuracy, and the standard error of that."""

    labels: int
    accuracy: float
    error: float = 0.0


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels until an accuracy; `low` to `high` at 95 %. None where the curve does not reach it, or its
    interval has no end."""

    labels: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class LearningCurve:
    """`level` is the accuracy at 2^`middle` labels, `slope` the gain of a doubling; `quantile` standard
    errors make the interval. Variances of both, and their `covariance`; `fewest` to `most` labels were
    measured, by `models` reward models."""

    level: float
    slope: float
    middle: float
    level_variance: float
    slope_variance: float
    covariance: float
    quantile: float
    fewest: int
    most: int
    models: int

    @property
    def least(self) -> int:
        """The fewest labels of which it says something."""
        return math.ceil(self.fewest / NEAR)

    def accuracy_at(self, labels: int) -> Interval | None:
        """The mean accuracy of reward models of so many labels; None too far from what was measured."""
        if not self.least <= labels <= self.most * FAR:
            return None
        x = math.log2(labels) - self.middle
        variance = self.level_variance + 2 * x * self.covariance + x * x * self.slope_variance
        reach = self.quantile * math.sqrt(max(variance, 0.0))
        said = self.level + self.slope * x
        low, high = (min(max(end, 0.0), 1.0) for end in (said - reach, said + reach))
        return Interval(min(max(said, 0.0), 1.0), low, high, LEVEL, self.models, "learning curve")

    def labels_for(self, accuracy: float) -> LabelsNeeded:
        """By Fieller's theorem: the x at which level + slope x - accuracy is not shown to be other than 0."""
        if self.slope <= 0:
            return LabelsNeeded(None, None, None)
        gap, square = self.level - accuracy, self.quantile**2
        needed = self._labels(-gap / self.slope)
        a = self.slope**2 - square * self.slope_variance
        b = gap * self.slope - square * self.covariance
        c = gap**2 - square * self.level_variance
        if a <= 0:  # no gain of a doubling is shown
            return LabelsNeeded(needed, None, None)
        root = math.sqrt(max(b * b - a * c, 0.0))
        return LabelsNeeded(needed, self._labels((-b - root) / a), self._labels((-b + root) / a))

    def _labels(self, x: float) -> int | None:
        """At `x` doublings from the middle; None too far beyond what was measured, `least` at least."""
        doublings = self.middle + x
        if doublings > math.log2(self.most * FAR):
            return None
        labels = math.ceil(math.pow(2.0, doublings) - 1e-9)
        return max(self.least, labels)


def curve_of_rounds(points: Sequence[AccuracyPoint]) -> LearningCurve | None:
    """Weighted least squares over the rounds of one line, each with the standard error of its accuracy.

    Where they scatter by more than those errors say, the variances grow by the same factor (Birge's ratio,
    never under 1). None with fewer than three rounds, or with less than a doubling between the
    fewest and the most labels. Rounds of a line are judged on pairs in common, which is not in it.
    """
    known = [point for point in points if point.labels > 0 and point.error > 0]
    labels = [point.labels for point in known]
    if len(known) < FEWEST or max(labels) < SPREAD * min(labels):
        return None
    weights = np.array([1 / point.error**2 for point in known])
    doublings = np.log2(np.array(labels, dtype=np.float64))
    middle = float(weights @ doublings / weights.sum())
    x, y = doublings - middle, np.array([point.accuracy for point in known])
    level = float(weights @ y / weights.sum())
    slope = float(weights @ (x * y) / (weights @ (x * x)))
    rest = y - level - slope * x
    birge = max(1.0, float(weights @ (rest * rest)) / (len(known) - 2))
    return LearningCurve(
        level=level,
        slope=slope,
        middle=middle,
        level_variance=birge / float(weights.sum()),
        slope_variance=birge / float(weights @ (x * x)),
        covariance=0.0,  # the weighted middle makes them independent
        quantile=normal_quantile((1 + LEVEL) / 2),
        fewest=min(labels),
        most=max(labels),
        models=len(known),
    )


def curve_of_seeds(labels: Sequence[int], accuracies: FloatArray) -> LearningCurve:
    """The mean of the seeds' own lines; `accuracies` is [seeds, labels], of two seeds or more.

    A seed has prompts, texts and held-out pairs of its own, so that the seeds, not the points, are
    what is independent: variances over seeds, and Student's t.
    """
    doublings = np.log2(np.array(labels, dtype=np.float64))
    middle = float(doublings.mean())
    x = doublings - middle
    levels, slopes = accuracies.mean(axis=1), accuracies @ x / (x @ x)
    seeds = len(accuracies)
    variances = np.cov(np.stack([levels, slopes])) / seeds
    return LearningCurve(
        level=float(levels.mean()),
        slope=float(slopes.mean()),
        middle=middle,
        level_variance=float(variances[0, 0]),
        slope_variance=float(variances[1, 1]),
        covariance=float(variances[0, 1]),
        quantile=t_quantile((1 + LEVEL) / 2, seeds - 1),
        fewest=min(labels),
        most=max(labels),
        models=accuracies.size,
    )
