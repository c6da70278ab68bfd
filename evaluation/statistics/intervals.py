"""Intervals for shares, means and any statistic of clustered data. Seeds are always explicit."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from annotation.statistics.estimates import wilson_bounds
from evaluation.contracts import Interval
from evaluation.statistics.quantiles import normal_quantile, t_quantile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

__all__ = [
    "FloatArray",
    "IntArray",
    "bootstrap_sums",
    "cluster_bootstrap_interval",
    "cluster_codes",
    "cluster_mean_interval",
    "cluster_ratio_interval",
    "cluster_share_interval",
    "cluster_variance",
    "independent_difference",
    "percentile_interval",
    "two_way_share_interval",
    "weighted_share_interval",
    "wilson_interval",
]


def wilson_interval(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """Wilson (1927) score interval for a share; `successes` may count ties as halves."""
    _require_share(successes, n)
    z = normal_quantile(0.5 + level / 2)
    share = successes / n
    low, high = wilson_bounds(share, n, z)
    return Interval(share, low, high, level, n, "Wilson")


def _require_share(successes: float, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n >= 1, got {successes} of {n}.")


def cluster_mean_interval(
    values: Sequence[float] | FloatArray,
    clusters: Sequence[Hashable] | range,
    *,
    level: float = 0.95,
) -> Interval:
    """t interval for a mean whose values come in clusters.

    The cluster-robust variance G/(G-1) * sum_g (sum_{i in g} (y_i - mean))^2 / n^2 with G - 1
    degrees of freedom; with one value in each cluster it is the ordinary t interval. Needs two
    clusters. `n` of the result counts clusters.
    """
    y = np.asarray(values, dtype=np.float64)
    codes, count = cluster_codes(clusters)
    if len(y) != len(codes):
        raise ValueError(f"{len(y)} values but {len(codes)} cluster ids.")
    if count < 2:
        raise ValueError(f"an interval needs at least 2 clusters, got {count}.")
    mean = float(y.mean())
    spread = _t_spread(cluster_variance(y, codes, count), count, level)
    return Interval(mean, mean - spread, mean + spread, level, count, "cluster t")


def cluster_variance(y: FloatArray, codes: IntArray, count: int) -> float:
    """Cluster-robust variance of the mean of `y` [n], whose values lie in `count` clusters."""
    residuals = np.bincount(codes, weights=y - y.mean(), minlength=count)
    return count / (count - 1) * float(residuals @ residuals) / len(y) ** 2


def _t_spread(variance: float, clusters: int, level: float) -> float:
    return t_quantile(0.5 + level / 2, clusters - 1) * math.sqrt(variance)


def cluster_share_interval(
    values: Sequence[float] | FloatArray,
    clusters: Sequence[Hashable] | range,
    *,
    level: float = 0.95,
) -> Interval:
    """Interval inside [0, 1] for the mean of values in [0, 1] that come in clusters.

    Wilson at the effective sample size p (1 - p) / Var(cluster) * (z / t)^2, as Korn and Graubard
    (1998) do for Clopper-Pearson; where nothing varies the clusters are the sample size.
    """
    plain = cluster_mean_interval(values, clusters, level=level)
    return _share_within(plain, plain.high - plain.estimate, "cluster Wilson")


def weighted_share_interval(
    values: Sequence[float] | FloatArray,
    strata: Sequence[str],
    clusters: Sequence[Hashable],
    *,
    weights: Mapping[str, float],
    level: float = 0.95,
) -> Interval:
    """Interval inside [0, 1] for sum_s w_s mean_s, the means of values in [0, 1] by stratum; w sums to 1.

    A cluster may reach over strata. The variance is sum_g (sum_{i in g} e_i)^2, where
    e_i = w_s sqrt(G_s / (G_s - 1)) (y_i - mean_s) / n_s and G_s are the clusters of stratum s; t with
    as many degrees of freedom as there are clusters less strata; then Wilson as in
    `cluster_share_interval`, which it is for one stratum. Needs two clusters in every stratum.
    """
    y = np.asarray(values, dtype=np.float64)
    groups, count = cluster_codes(clusters)
    codes, kinds = cluster_codes(strata)
    mean, residuals = 0.0, np.zeros(len(y))
    for code, name in enumerate(dict.fromkeys(strata)):
        rows = codes == code
        inside = len(np.unique(groups[rows]))
        if inside < 2:
            raise ValueError(f"an interval needs at least 2 clusters in {name!r}, got {inside}.")
        middle, share = float(y[rows].mean()), weights[name]
        mean += share * middle
        scale = share * math.sqrt(inside / (inside - 1)) / np.count_nonzero(rows)
        residuals[rows] = scale * (y[rows] - middle)
    variance = float(np.square(np.bincount(groups, weights=residuals, minlength=count)).sum())
    spread = t_quantile(0.5 + level / 2, max(1, count - kinds)) * math.sqrt(variance)
    plain = Interval(mean, mean - spread, mean + spread, level, count)
    return _share_within(plain, spread, "weighted cluster Wilson")


def independent_difference(first: Interval, second: Interval) -> Interval:
    """Interval for `first` less `second`, two estimates that know nothing of each other.

    d -/+ sqrt of the summed squares of the distances to the near bounds (MOVER; Newcombe 1998, method 10,
    Zou and Donner 2008). Where both rest on the same items it is wider than a paired one.
    """
    difference = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    n = min(first.n, second.n)
    return Interval(difference, difference - below, difference + above, first.level, n, "MOVER")


def two_way_share_interval(
    values: Sequence[float] | FloatArray,
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    level: float = 0.95,
) -> Interval:
    """Interval inside [0, 1] for the mean of values in [0, 1] that come in clusters of two kinds.

    The variance is that by the first clusters plus that by the second less that by their crossings
    (Cameron, Gelbach and Miller 2011), or where that is nothing the larger of the two; t with one
    degree of freedom less than there are clusters of the fewer kind; then Wilson as in
    `cluster_share_interval`. Needs two clusters of each kind; `n` counts the fewer.
    """
    y = np.asarray(values, dtype=np.float64)
    kinds = (first, second, list(zip(first, second, strict=True)))
    coded = [cluster_codes(kind) for kind in kinds]
    fewer = min(count for _, count in coded[:2])
    if fewer < 2:
        raise ValueError(f"an interval needs at least 2 clusters of each kind, got {fewer}.")
    one, other, both = (cluster_variance(y, codes, count) for codes, count in coded)
    together = one + other - both
    spread = _t_spread(together if together > 0 else max(one, other), fewer, level)
    mean = float(y.mean())
    plain = Interval(mean, mean - spread, mean + spread, level, fewer)
    return _share_within(plain, spread, "two-way cluster Wilson")


def _share_within(plain: Interval, spread: float, method: str) -> Interval:
    """`plain` drawn into [0, 1]: Wilson at the sample size that would have given its spread."""
    share = min(1.0, max(0.0, plain.estimate))
    z = normal_quantile(0.5 + plain.level / 2)
    size = z * z * share * (1 - share) / spread**2 if spread > 0 else float(plain.n)
    low, high = wilson_bounds(share, size, z)
    return Interval(share, low, high, plain.level, plain.n, method)


def cluster_codes(clusters: Sequence[Hashable] | range) -> tuple[IntArray, int]:
    """Number the clusters 0.. in order of first appearance: (code of each item, clusters)."""
    seen: dict[Hashable, int] = {}
    codes = np.array([seen.setdefault(c, len(seen)) for c in clusters], dtype=np.int64)
    return codes, len(seen)


def cluster_bootstrap_interval(
    statistic: Callable[[IntArray], float],
    clusters: Sequence[Hashable] | range,
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of `statistic(indices)` when whole clusters are drawn with replacement.

    `statistic` gets indices into the data (with repeats). Draws on which it is not finite are left
    out; more than a tenth of such draws is an error.
    """
    codes, count = cluster_codes(clusters)
    if count < 2:
        raise ValueError(f"an interval needs at least 2 clusters, got {count}.")
    rows, sizes = np.argsort(codes, kind="stable"), np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(0, count, count)
        ends = np.cumsum(sizes[drawn])
        shifts = np.repeat(starts[drawn] - ends + sizes[drawn], sizes[drawn])
        draws[i] = statistic(rows[shifts + np.arange(ends[-1])])
    estimate = float(statistic(np.arange(len(codes))))
    return percentile_interval(estimate, draws, level=level, n=count, method="cluster bootstrap")


def cluster_ratio_interval(
    top: FloatArray,
    bottom: FloatArray,
    clusters: Sequence[Hashable] | range,
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of mean(top) / mean(bottom) when whole clusters are drawn with replacement.

    The draws of `cluster_bootstrap_interval`, from the sums of the clusters instead of their rows.
    Draws whose denominator is not positive are left out.
    """
    codes, count = cluster_codes(clusters)
    if count < 2:
        raise ValueError(f"an interval needs at least 2 clusters, got {count}.")
    columns = [np.bincount(codes, weights=values) for values in (top, bottom)]
    sums = np.stack(columns, axis=1).astype(np.float64)
    drawn = np.vstack([sums.sum(0), bootstrap_sums(sums, seed=seed, resamples=resamples)])
    ratios = np.full(len(drawn), np.nan)
    np.divide(drawn[:, 0], drawn[:, 1], out=ratios, where=drawn[:, 1] > 0)
    return percentile_interval(
        float(ratios[0]), ratios[1:], level=level, n=count, method="cluster bootstrap"
    )


def bootstrap_sums(sums: FloatArray, *, seed: int, resamples: int) -> FloatArray:
    """[resamples, k]: totals of `sums` [clusters, k] when clusters are drawn with replacement."""
    rng, count = np.random.default_rng(seed), len(sums)
    return np.stack(
        [
            np.bincount(rng.integers(0, count, count), minlength=count) @ sums
            for _ in range(resamples)
        ]
    )


def percentile_interval(
    estimate: float, draws: FloatArray, *, level: float, n: int, method: str
) -> Interval:
    """Percentiles of bootstrap draws, widened to hold the estimate."""
    finite = draws[np.isfinite(draws)]
    if len(finite) < 0.9 * len(draws) or not math.isfinite(estimate):
        raise ValueError(
            "the statistic is undefined on too many bootstrap draws; more data needed."
        )
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        estimate, min(float(low), estimate), max(float(high), estimate), level, n, method
    )
