"""How far people agree beyond chance: Krippendorff's alpha and Gwet's AC.

Votes come as counts [kinds, values]: how many votes of each value an item got, items with the same counts
laid together with `times` [kinds], how often each kind occurs. So an interval costs as much for a million
items as for a thousand.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from .estimates import FloatArray, Gauged, IntArray, interval_of, multinomial_weights

Metric = Literal["nominal", "ordinal", "interval"]
Weights = Literal["identity", "ordinal"]


def vote_counts(
    items: IntArray, values: IntArray, size: int, *, fewest: int = 2
) -> tuple[FloatArray, FloatArray]:
    """(counts [kinds, size], times [kinds]) of votes: `items` [n] and `values` [n] in 0..size-1.

    Items with less than `fewest` votes are left out: one alone is no pair of votes.
    """
    _, codes = np.unique(items, return_inverse=True)
    cells = np.bincount(codes * size + values, minlength=(codes.max(initial=-1) + 1) * size)
    table = cells.reshape(-1, size)
    kinds, times = np.unique(table[table.sum(1) >= fewest], axis=0, return_counts=True)
    return kinds.astype(np.float64), times.astype(np.float64)


def coincidences_of(counts: FloatArray) -> FloatArray:
    """[kinds, values, values]: how often an item pairs two values, over its votes less one."""
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs -= np.eye(counts.shape[1])[None] * counts[:, :, None]
    return np.asarray(pairs / np.maximum(counts.sum(1) - 1, 1)[:, None, None])


def alpha_of(coincidences: FloatArray, values: FloatArray, metric: Metric) -> float:
    """alpha = 1 - D_observed / D_expected (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability") from summed coincidences [values, values]; NaN where nothing varies."""
    totals = coincidences.sum(0)
    distance = _distances(values, totals, metric)
    pairs = float(totals.sum())
    expected = float((np.outer(totals, totals) * distance).sum()) / (pairs - 1) if pairs else 0.0
    if expected == 0:
        return float("nan")
    return 1 - float((coincidences * distance).sum()) / expected


def alpha_estimate(
    counts: FloatArray, times: FloatArray, *, metric: Metric, seed: int = 0
) -> Gauged | None:
    """alpha with a bootstrap interval that draws items again; None with fewer than two items."""
    if times.sum() < 2:
        return None
    coincidences, values = coincidences_of(counts), np.arange(counts.shape[1], dtype=np.float64)
    draws = np.tensordot(multinomial_weights(times, seed=seed), coincidences, axes=1)
    found = alpha_of(np.tensordot(times, coincidences, axes=1), values, metric)
    drawn = np.array([alpha_of(draw, values, metric) for draw in draws])
    return interval_of(found, drawn, n=int(times.sum()))


def pair_estimate(counts: FloatArray, times: FloatArray, *, seed: int = 0) -> Gauged | None:
    """Of all pairs of votes on one item, the share that are equal, not corrected for chance; the interval
    draws items again."""
    votes = counts.sum(1)
    equal, pairs = (counts * (counts - 1)).sum(1), votes * (votes - 1)
    if times.sum() < 2 or not (times @ pairs):
        return None
    drawn = multinomial_weights(times, seed=seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = (drawn @ equal) / (drawn @ pairs)
    return interval_of(float(times @ equal / (times @ pairs)), draws, n=int(times.sum()))


def gwet_estimate(
    counts: FloatArray, times: FloatArray, *, weights: Weights, seed: int = 0
) -> Gauged | None:
    """Gwet's AC1 (identity weights; Gwet 2008) or AC2 (ordinal ones; Gwet 2014, chapters 5 and 6), with a
    bootstrap interval that draws items again; None with fewer than two items of two votes or more, which are
    the `n` of it. Give the items of a single vote as well: they tell what is said by chance.

    (p_a - p_e) / (1 - p_e). p_a is the mean over items with two votes or more of sum_k r_k (r*_k - 1) /
    (r (r - 1)), r*_k the weighted count; p_e = T / (K (K - 1)) sum_k pi_k (1 - pi_k), T the sum of all
    weights, pi_k the mean over items of r_k / r.
    """
    matrix, votes = _gwet_weights(counts.shape[1], weights), counts.sum(1)
    rests_on = int(times[votes >= 2].sum())
    if rests_on < 2:
        return None
    agreed = (counts * (counts @ matrix - 1)).sum(1) / np.maximum(votes * (votes - 1), 1)
    agreed, paired = np.where(votes >= 2, agreed, 0.0), (votes >= 2).astype(np.float64)
    shares = counts / votes[:, None]
    drawn = np.vstack([times, multinomial_weights(times, seed=seed)])
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (drawn @ agreed) / (drawn @ paired)
        pi = (drawn @ shares) / drawn.sum(1, keepdims=True)
        chance = (pi * (1 - pi)).sum(1) * matrix.sum() / (len(matrix) * (len(matrix) - 1))
        found = (observed - chance) / (1 - chance)
    return interval_of(float(found[0]), found[1:], n=rests_on)


def _gwet_weights(size: int, weights: Weights) -> FloatArray:
    """Ordinal: 1 - C(|k - l| + 1, 2) / C(size, 2), so that near values agree in part."""
    if weights == "identity":
        return np.eye(size)
    apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return np.asarray(1 - (apart * (apart + 1) / 2) / (size * (size - 1) / 2))


def _distances(values: FloatArray, totals: FloatArray, metric: Metric) -> FloatArray:
    """Squared differences of values [values, values] by the metric."""
    if metric == "nominal":
        return 1.0 - np.eye(len(values))
    if metric == "interval":
        return np.asarray(np.subtract.outer(values, values) ** 2)
    middle = np.cumsum(totals) - totals / 2  # ranks: sum from c to k less half of both ends
    return np.asarray(np.subtract.outer(middle, middle) ** 2)
