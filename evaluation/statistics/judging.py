"""What an LLM judge's verdicts are worth beside people's: agreement, bias, and a win rate put right by labels.

Values are the candidate's: 1 preferred, 0.5 a tie, 0 not preferred. Pure; NumPy and SciPy only.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.intervals import (
    FloatArray,
    IntArray,
    cluster_codes,
    cluster_mean_interval,
    cluster_share_interval,
)
from evaluation.statistics.quantiles import normal_quantile, t_quantile

__all__ = [
    "agreement_interval",
    "corrected_win_rate",
    "longer_excess_interval",
    "longer_share_interval",
    "share_or_none",
]

TIE = 0.5


def corrected_win_rate(
    judged: Sequence[float] | FloatArray,
    people: Sequence[float | None],
    groups: Sequence[Hashable],
    raters: Sequence[Hashable | None],
    *,
    level: float = 0.95,
) -> Interval:
    """The judge's win rate on all N pairs, put right by the n that people labelled too.

    theta = mean_N(f) + mean_n(y - f), the prediction-powered mean (Angelopoulos et al. 2023), with f the
    judge's value and y people's. It has no bias of the judge's where labels are given on pairs drawn at
    random. Pair i moves theta by psi_i = (f_i - mean f) / N + [labelled] (y_i - f_i - mean_n(y - f)) / n;
    the variance is the sum of the squared sums of psi by prompt group, plus that by annotator, less that
    by both (a pair that nobody labelled has an annotator of its own), or the larger of the first two
    where that is nothing; each with G / (G - 1). t with one degree of freedom less than there are
    labelled groups or annotators, whichever are fewer, inside [0, 1] and never narrower than
    z^2 / (m + z^2) to either side, m the labelled groups: a judge who has erred on none of m may err yet
    (Tango's 1998 floor, as in `paired_difference_interval`).

    `people` and `raters` hold None where nobody labelled. ValueError under two labelled groups or
    annotators. `n` of the result counts the fewer of these.
    """
    f = np.asarray(judged, dtype=np.float64)
    labelled = np.array([value is not None for value in people], dtype=bool)
    on = _distinct(groups, labelled)
    fewer = min(on, _distinct(raters, labelled))
    if fewer < 2:
        raise ValueError(f"an interval needs labels on 2 groups and by 2 people, got {fewer}.")
    y = np.array([0.0 if value is None else value for value in people])
    gap = np.where(labelled, y - f, 0.0)
    n, shift = int(labelled.sum()), float(gap.sum() / labelled.sum())
    psi = (f - f.mean()) / len(f) + np.where(labelled, gap - shift, 0.0) / n
    theta = float(f.mean()) + shift
    spread = t_quantile(0.5 + level / 2, fewer - 1) * math.sqrt(_variance(psi, groups, raters))
    z2 = normal_quantile(0.5 + level / 2) ** 2
    share, floor = min(1.0, max(0.0, theta)), z2 / (on + z2)
    low = max(0.0, min(theta - spread, share - floor))
    high = min(1.0, max(theta + spread, share + floor))
    return Interval(share, low, high, level, fewer, "prediction-powered, two-way cluster t")


def _variance(
    psi: FloatArray, groups: Sequence[Hashable], raters: Sequence[Hashable | None]
) -> float:
    own = [("nobody", i) if rater is None else rater for i, rater in enumerate(raters)]
    kinds: tuple[Sequence[Hashable], ...] = (groups, own, list(zip(groups, own, strict=True)))
    by_group, by_rater, by_both = (_summed(psi, *cluster_codes(kind)) for kind in kinds)
    together = by_group + by_rater - by_both
    return together if together > 0 else max(by_group, by_rater)


def _summed(psi: FloatArray, codes: IntArray, count: int) -> float:
    sums = np.bincount(codes, weights=psi, minlength=count)
    return count / (count - 1) * float(sums @ sums)


def _distinct(names: Sequence[Hashable | None], chosen: np.ndarray) -> int:
    return len({name for name, taken in zip(names, chosen, strict=True) if taken})


def agreement_interval(
    judged: Sequence[float] | FloatArray,
    people: Sequence[float] | FloatArray,
    groups: Sequence[Hashable],
) -> Interval | None:
    """How often judge and person prefer the same side, where both prefer one; clustered by prompt group.

    It stands beside the human ceiling, which leaves ties out too. None under two groups.
    """
    f, y = np.asarray(judged, dtype=np.float64), np.asarray(people, dtype=np.float64)
    both = (f != TIE) & (y != TIE)
    return share_or_none((f[both] == y[both]).astype(float), _taken(groups, both))


def longer_share_interval(
    values: Sequence[float] | FloatArray,
    longer: Sequence[float] | FloatArray,
    groups: Sequence[Hashable],
) -> Interval | None:
    """How often the longer text is preferred, of pairs that differ in length and are no tie.

    `longer` is the candidate's length less the incumbent's. None under two prompt groups.
    """
    prefers, told = _prefers_longer(values, longer)
    return share_or_none(prefers[told], _taken(groups, told))


def longer_excess_interval(
    judged: Sequence[float] | FloatArray,
    people: Sequence[float] | FloatArray,
    longer: Sequence[float] | FloatArray,
    groups: Sequence[Hashable],
) -> Interval | None:
    """How much oftener the judge prefers the longer text than people do, on the pairs on which both
    prefer a side; clustered by prompt group, None under two of them."""
    by_judge, told = _prefers_longer(judged, longer)
    by_people, also = _prefers_longer(people, longer)
    both = told & also
    kept = _taken(groups, both)
    if len(set(kept)) < 2:
        return None
    return cluster_mean_interval((by_judge - by_people)[both], kept)


def share_or_none(values: FloatArray, groups: Sequence[Hashable]) -> Interval | None:
    """`cluster_share_interval`, or None under two groups."""
    return cluster_share_interval(values, groups) if len(set(groups)) > 1 else None


def _prefers_longer(
    values: Sequence[float] | FloatArray, longer: Sequence[float] | FloatArray
) -> tuple[FloatArray, np.ndarray]:
    """(1 where the longer text is preferred, where that can be told)."""
    v, by = np.asarray(values, dtype=np.float64), np.asarray(longer, dtype=np.float64)
    return ((v > TIE) == (by > 0)).astype(float), (v != TIE) & (by != 0)


def _taken(groups: Sequence[Hashable], chosen: np.ndarray) -> list[Hashable]:
    return [group for group, taken in zip(groups, chosen, strict=True) if taken]
