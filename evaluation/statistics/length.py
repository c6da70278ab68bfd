"""Is a gain bought with length? Length ratio, and the gain that is left at equal length."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray, IntArray, cluster_bootstrap_interval

__all__ = ["gain_at_equal_length", "length_free_share", "median_ratio_interval"]


def median_ratio_interval(
    candidate: FloatArray,
    incumbent: FloatArray,
    clusters: Sequence[Hashable],
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Ratio of median lengths (each at least one token), clusters drawn with replacement."""

    def ratio(rows: IntArray) -> float:
        medians = [max(1.0, float(np.median(side[rows]))) for side in (candidate, incumbent)]
        return medians[0] / medians[1]

    return cluster_bootstrap_interval(ratio, clusters, seed=seed, resamples=resamples, level=level)


def gain_at_equal_length(gains: FloatArray, length_differences: FloatArray) -> float:
    """Intercept of the least-squares line of per-prompt gains on tanh(length difference / its RMS).

    tanh bounds the pull of a few very long replies (as in length-controlled AlpacaEval, Dubois
    2024). Where lengths never differ it is the mean gain.
    """
    scale = float(np.sqrt((length_differences**2).mean()))
    if scale == 0:
        return float(gains.mean())
    x = np.tanh(length_differences / scale)
    centred = x - x.mean()
    power = float(centred @ centred)
    slope = float(centred @ gains) / power if power > 1e-12 else 0.0
    return float(gains.mean()) - slope * float(x.mean())


def length_free_share(
    gains: FloatArray,
    length_differences: FloatArray,
    clusters: Sequence[Hashable],
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval | None:
    """Gain at equal length over the gain; None where the gain is not clearly positive.

    Draws whose gain is not positive have no share; with too many of them there is no interval.
    """

    def share(rows: IntArray) -> float:
        gain = float(gains[rows].mean())
        if gain <= 0:
            return float("nan")
        return gain_at_equal_length(gains[rows], length_differences[rows]) / gain

    if float(gains.mean()) <= 0:
        return None
    try:
        return cluster_bootstrap_interval(
            share, clusters, seed=seed, resamples=resamples, level=level
        )
    except ValueError:
        return None
