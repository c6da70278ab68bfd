"""How well a score tells apart what people preferred: the area under the ROC curve (AUC).

A label is a win or a loss of the candidate; its score is the reward model's gap, candidate minus
incumbent. AUC is the chance that a won pair's gap exceeds a lost pair's, equal gaps counted half: 0.5
for a model that cannot tell, whatever share of the pairs was won. (Agreement is no such measure: a
model that always prefers the candidate agrees in exactly the share of wins.)
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray, cluster_codes
from evaluation.statistics.quantiles import t_quantile
from evaluation.statistics.sequences import confidence_sequence

__all__ = ["discrimination_interval", "discrimination_sequence"]

BoolArray = npt.NDArray[np.bool_]


def discrimination_interval(
    scores: FloatArray,
    won: BoolArray,
    *,
    clusterings: Sequence[Sequence[Hashable]],
    level: float = 0.95,
) -> Interval | None:
    """AUC with a t interval from its placement values, whole clusters taken as the units.

    `scores` and `won` are [labels]. With m wins and n losses, a win's placement is the share of losses
    under its score and a loss's the share of wins over it; label i's part in the AUC's error is e_i =
    (placement - AUC) / m or / n (DeLong, DeLong and Clarke-Pearson 1988). Over C clusters the variance
    is C / (C - 1) * sum_c (sum of e_i in c)^2 (Obuchowski 1997), with C - 1 degrees of freedom. Of
    several `clusterings` (annotators, prompt groups) the widest interval counts. None without a win, a
    loss, or two clusters in each.
    """
    wins, losses = scores[won], scores[~won]
    coded = [cluster_codes(labels) for labels in clusterings]
    if not len(wins) or not len(losses) or min(count for _, count in coded) < 2:
        return None
    below, above = _placements(wins, losses), 1.0 - _placements(losses, wins)
    area = float(below.mean())
    errors = np.empty(len(scores))
    errors[won], errors[~won] = (below - area) / len(wins), (above - area) / len(losses)
    spread = max(_spread(errors, codes, count, level) for codes, count in coded)
    low, high = max(0.0, area - spread), min(1.0, area + spread)
    units = min(count for _, count in coded)
    return Interval(area, low, high, level, units, "DeLong, clustered")


def discrimination_sequence(
    scores: FloatArray, won: BoolArray, *, level: float = 0.95
) -> Interval | None:
    """AUC with bounds that hold after every label together, labels taken as independent.

    The k-th win and the k-th loss, in the order of the labels, make one pair; that its gaps lie in the
    right order is a trial whose mean is the AUC, and no label is in two pairs. The bounds are the
    betting confidence sequence of these trials. None without a pair.
    """
    wins, losses = scores[won], scores[~won]
    pairs = min(len(wins), len(losses))
    if pairs == 0:
        return None
    trials = (np.sign(wins[:pairs] - losses[:pairs]) + 1.0) / 2.0
    area = float(_placements(wins, losses).mean())
    low, high = (float(bound) for bound in confidence_sequence(trials, level=level)[-1])
    return Interval(area, min(low, area), max(high, area), level, pairs, "confidence sequence")


def _placements(of: FloatArray, among: FloatArray) -> FloatArray:
    """Of each score the share of `among` that lies under it, equal ones counted half."""
    ordered = np.sort(among)
    under = np.searchsorted(ordered, of, "left") + np.searchsorted(ordered, of, "right")
    return np.asarray(under / (2.0 * len(among)))


def _spread(errors: FloatArray, codes: npt.NDArray[np.int64], count: int, level: float) -> float:
    sums = np.bincount(codes, weights=errors, minlength=count)
    variance = count / (count - 1) * float(sums @ sums)
    return t_quantile(0.5 + level / 2, count - 1) * math.sqrt(variance)
