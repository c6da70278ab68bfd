"""How far people agree: raw agreement, Krippendorff's alpha, Gwet's AC, position bias.

Ratings come as a matrix [raters, items] with NaN where a rater did not see an item.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from annotation.statistics.agreement import Metric, alpha_of, coincidences_of
from evaluation.contracts import Interval
from evaluation.statistics.intervals import (
    FloatArray,
    bootstrap_sums,
    cluster_mean_interval,
    percentile_interval,
    wilson_interval,
)

__all__ = [
    "krippendorff_alpha",
    "krippendorff_alpha_interval",
    "pairwise_agreement",
    "position_bias",
]


def krippendorff_alpha(ratings: npt.ArrayLike, *, metric: Metric = "nominal") -> float:
    """alpha = 1 - D_observed / D_expected (Krippendorff 2011); NaN where nothing varies.

    Items with fewer than two ratings carry no pair and are left out.
    """
    coincidences, values = _coincidences(ratings)
    return alpha_of(coincidences.sum(0), values, metric)


def krippendorff_alpha_interval(
    ratings: npt.ArrayLike,
    *,
    seed: int,
    metric: Metric = "nominal",
    level: float = 0.95,
    resamples: int = 1000,
) -> Interval:
    """alpha with a bootstrap interval over items, from the sums of their coincidences."""
    coincidences, values = _coincidences(ratings)
    items, shape = len(coincidences), (-1, len(values), len(values))
    if items < 2:
        raise ValueError(f"an interval needs at least 2 items, got {items}.")
    sums = coincidences.reshape(items, -1)
    drawn = bootstrap_sums(sums, seed=seed, resamples=resamples).reshape(shape)
    return percentile_interval(
        alpha_of(coincidences.sum(0), values, metric),
        np.array([alpha_of(draw, values, metric) for draw in drawn]),
        level=level,
        n=items,
        method="cluster bootstrap",
    )


def _coincidences(ratings: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """How often each item pairs two values, over its ratings less one: ([items, values, values], values)."""
    counts, values = _item_counts(ratings)
    return coincidences_of(counts), values


def pairwise_agreement(ratings: npt.ArrayLike, *, level: float = 0.95) -> Interval:
    """Chance that two people who saw one item chose the same value; each item counts by its pairs."""
    counts, _ = _item_counts(ratings)
    counts = counts[counts.sum(1) >= 2]
    same: list[float] = []
    item_of_pair: list[int] = []
    for item, row in enumerate(counts):
        pairs = row.sum() * (row.sum() - 1) / 2
        agreeing = (row * (row - 1) / 2).sum()
        same += [1.0] * int(agreeing) + [0.0] * int(pairs - agreeing)
        item_of_pair += [item] * int(pairs)
    return cluster_mean_interval(same, item_of_pair, level=level)


def position_bias(
    chose_left: Sequence[float],
    raters: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
) -> Interval:
    """Share of choices for the left text (ties 0.5); 0.5 is unbiased when sides are drawn.

    With the raters given (two or more) the interval allows for differences between people.
    """
    if raters is not None and len(set(raters)) >= 2:
        return cluster_mean_interval(chose_left, raters, level=level)
    return wilson_interval(float(sum(chose_left)), len(chose_left), level=level)


def _item_counts(ratings: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """How often each item got each value: (counts [items, values], values)."""
    matrix = np.asarray(ratings, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError("ratings must be a matrix [raters, items] with NaN where there is none.")
    values = np.unique(matrix[~np.isnan(matrix)])
    return (matrix[:, :, None] == values[None, None, :]).sum(0).astype(np.float64), values
