"""The win rate at equal length and style, and how much of the gain is left there.

A logistic regression of outcomes (1 the candidate won, 0.5 a tie, 0 it lost) on differences of the
two texts that are 0 where the texts do not differ: its intercept is the log-odds of a win at equal
length and style (length-controlled AlpacaEval, Dubois 2024; Chatbot Arena's style control, Li 2024).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from evaluation.contracts import Interval, LengthControl
from evaluation.statistics.intervals import FloatArray, cluster_codes
from evaluation.statistics.quantiles import t_quantile

__all__ = ["FEWEST_DIFFERENT", "FEWEST_LABELS", "any_time_quantile", "length_control"]

FEWEST_LABELS = 30
FEWEST_DIFFERENT = 10  # pairs that a difference must set apart before it gets a coefficient
TIGHTEST = 300.0  # labels at which the bounds that hold at all times are narrowest


@dataclass(frozen=True)
class _Fit:
    """b [k] and, at b: p, scores' residuals and weights [n], information [k, k]; x [n, k]."""

    x: FloatArray
    coefficients: FloatArray
    residuals: FloatArray
    weights: FloatArray
    information: FloatArray


@dataclass(frozen=True)
class _Bounds:
    """Intervals of `quantile` standard errors from the covariance [2, 2] of `_jackknife`."""

    covariance: FloatArray
    quantile: float
    level: float
    clusters: int

    def rate(self, log_odds: float, method: str) -> Interval:
        spread = self.quantile * math.sqrt(self.covariance[0, 0])
        low, point, high = (float(expit(log_odds + s * spread)) for s in (-1, 0, 1))
        return self._interval(point, low, high, f"logistic, {method}")

    def share(self, log_odds: float, win_rate: float, method: str) -> Interval | None:
        """Gain at equal length c over gain r (win rates less 1/2), by Fieller 1954.

        The shares s with (c - s r)^2 <= q^2 Var(c - s r): an interval only where r itself is shown
        to lie above 0, None otherwise.
        """
        equal = float(expit(log_odds))
        left, gain = equal - 0.5, win_rate - 0.5
        scale = np.array([equal * (1 - equal), 1.0])
        v = self.covariance * np.outer(scale, scale) * self.quantile**2
        a, b, c = gain**2 - v[1, 1], gain * left - v[0, 1], left**2 - v[0, 0]
        if gain <= 0 or not a > 0:
            return None
        root = math.sqrt(max(0.0, b * b - a * c))
        return self._interval(left / gain, float(b - root) / a, float(b + root) / a, method)

    def _interval(self, point: float, low: float, high: float, method: str) -> Interval:
        bounds = (min(low, point), max(high, point))
        return Interval(point, *bounds, self.level, self.clusters, method)


def length_control(
    outcomes: Sequence[float] | FloatArray,
    differences: Mapping[str, FloatArray],
    *,
    annotators: Sequence[Hashable],
    groups: Sequence[Hashable],
    level: float = 0.95,
) -> LengthControl | None:
    """Win rate at differences of 0 and the share of the gain that is left there.

    `differences` are [labels] each; those that set apart fewer than `FEWEST_DIFFERENT` pairs are
    left out. None under `FEWEST_LABELS` labels, two annotators or two groups, and where the texts
    always differ one way, so that nothing shows what equal ones would get.

    `controlled` is for one look and for annotators and prompts like these: errors clustered by both
    (`_two_way`), t with min(annotators, groups) - 1 degrees of freedom. The others are for these
    annotators, clustered by group; the `_sequence` ones hold after every label together
    (`any_time_quantile`).
    """
    y = np.asarray(outcomes, dtype=np.float64)
    used = {k: d for k, d in differences.items() if (d != 0).sum() >= FEWEST_DIFFERENT}
    people, prompts = len(set(annotators)), len(set(groups))
    x = _design(len(y), list(used.values()))
    if len(y) < FEWEST_LABELS or min(people, prompts) < 2 or x is None:
        return None
    fit = _firth(x, y)
    by_group = _jackknife(fit, y, groups)
    both_ways = _two_way(fit, y, annotators, groups, by_group)
    population = _Bounds(both_ways, _once(min(people, prompts), level), level, min(people, prompts))
    once = _Bounds(by_group, _once(prompts, level), level, prompts)
    always = _Bounds(by_group, any_time_quantile(len(y), prompts - 1, level=level), level, prompts)
    rates = (float(fit.coefficients[0]), float(y.mean()))
    return LengthControl(
        labels=len(y),
        win_rate=rates[1],
        controlled=population.rate(rates[0], "cluster t"),
        controlled_sequence=always.rate(rates[0], "confidence sequence"),
        share=once.share(*rates, "Fieller"),
        share_sequence=always.share(*rates, "Fieller, confidence sequence"),
        differences=tuple(used),
    )


def _once(clusters: int, level: float) -> float:
    return t_quantile(0.5 + level / 2, clusters - 1)


def any_time_quantile(labels: int, degrees: int, *, level: float = 0.95) -> float:
    """How many standard errors to either side hold the truth after every label together.

    z = sqrt(2 (n r + 1) / (n r) log(sqrt(n r + 1) / alpha)), the asymptotic confidence sequence of
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024 with r = rho^2 chosen so that it is tightest
    at `TIGHTEST` labels; then the quantile of t with the same tail, since few clusters tell the
    error itself badly.
    """
    alpha = 1 - level
    tuned = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / TIGHTEST * labels
    z = math.sqrt(2 * (tuned + 1) / tuned * math.log(math.sqrt(tuned + 1) / alpha))
    return -t_quantile(float(ndtr(-z)), degrees)


def _design(rows: int, columns: Sequence[FloatArray]) -> FloatArray | None:
    """[rows, 1 + rank]: ones, and an independent basis of the columns, in which no difference is 0
    still. None where the ones lie in it: then no pair shows what equal texts would get."""
    ones = np.ones((rows, 1))
    if not columns:
        return ones
    left, sizes, _ = np.linalg.svd(np.stack(columns, axis=1), full_matrices=False)
    kept = sizes > 1e-8 * sizes.max()
    basis = left[:, kept] * math.sqrt(rows)
    apart = ones[:, 0] - left[:, kept] @ (left[:, kept].T @ ones[:, 0])
    return np.hstack([ones, basis]) if float(apart @ apart) > 1e-8 * rows else None


def _firth(x: FloatArray, y: FloatArray) -> _Fit:
    """Logistic regression with Jeffreys' prior (Firth 1993), finite though lengths tell every win.

    The score is X'(y - p + h (1/2 - p)) with h the leverages; Newton steps of at most 2.
    """
    b = np.zeros(x.shape[1])
    for _ in range(60):
        p = expit(x @ b)
        weights = np.maximum(p * (1 - p), 1e-12)
        information = (x * weights[:, None]).T @ x
        leverage = weights * ((x @ np.linalg.inv(information)) * x).sum(1)
        residuals = y - p + leverage * (0.5 - p)
        step = np.linalg.solve(information, x.T @ residuals)
        if float(np.abs(step).max()) < 1e-8:
            break
        b = b + step * min(1.0, 2.0 / float(np.abs(step).max()))
    return _Fit(x, b, residuals, weights, information)


def _two_way(
    fit: _Fit,
    y: FloatArray,
    annotators: Sequence[Hashable],
    groups: Sequence[Hashable],
    by_group: FloatArray,
) -> FloatArray:
    """V_annotator + V_group - V_both (Cameron, Gelbach and Miller 2011); V_group where that is no
    variance, V_annotator where it is infinite."""
    pairs = list(zip(annotators, groups, strict=True))
    by_annotator = _jackknife(fit, y, annotators)
    if len(set(pairs)) == len(set(groups)) or not np.isfinite(by_annotator).all():
        return by_annotator  # each prompt has one annotator: V_both is V_group
    found = by_annotator + by_group - _jackknife(fit, y, pairs)
    return found if found[0, 0] > 0 and np.linalg.det(found) >= 0 else by_group


def _jackknife(fit: _Fit, y: FloatArray, clusters: Sequence[Hashable]) -> FloatArray:
    """Covariance [2, 2] of (log-odds at no difference, win rate), clustered.

    (G - 1) / G times the sum of squares of what leaving out each of G clusters would change, in one
    Newton step (MacKinnon, Nielsen and Webb 2023). The first variance is at least the binomial one
    less the share of ties: where length tells nearly every win the residuals, and with them the
    jackknife, are far too small. Infinite where one cluster holds all that tells the two apart.
    """
    codes, count = cluster_codes(clusters)
    scores = _sums(fit.x * fit.residuals[:, None], codes, count)
    outer = fit.x[:, :, None] * (fit.x * fit.weights[:, None])[:, None, :]
    within = _sums(outer.reshape(len(y), -1), codes, count).reshape(count, *fit.information.shape)
    off, sizes = _sums(np.stack([y - y.mean(), np.ones(len(y))], axis=1), codes, count).T
    try:
        moved = np.linalg.solve(fit.information - within, scores[:, :, None])[:, 0, 0]
    except np.linalg.LinAlgError:
        return np.diag([np.inf, np.inf])
    changes = np.stack([moved, off / (len(y) - sizes)], axis=1)
    found = (count - 1) / count * changes.T @ changes
    binomial = float(np.linalg.inv(fit.information)[0, 0]) * float((y != 0.5).mean())
    found[0, 0] = max(found[0, 0], binomial)
    return np.asarray(found)


def _sums(values: FloatArray, codes: np.ndarray, count: int) -> FloatArray:
    """Sums of the rows of each cluster: [count, columns]."""
    columns = [np.bincount(codes, weights=c, minlength=count) for c in values.T]
    return np.stack(columns, axis=1)
