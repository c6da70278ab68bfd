"""Over-optimisation curves: Gao's laws, and the mismatch of two curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray, percentile_interval
from evaluation.statistics.quantiles import t_quantile

__all__ = [
    "CurveFit",
    "RunCurve",
    "first_difference_correlation",
    "fit_gao_law",
    "gao_law",
    "pooled_optimum",
]

Law = Literal["rl", "best_of_n"]

FEWEST = 12  # checkpoints under which no correlation of steps is given


@dataclass(frozen=True)
class CurveFit:
    """A law fitted to the gain by `scorer` ("train" or "held_out"); `optimum_kl` in nats, None outside
    the observed range."""

    law: Law
    scorer: str
    alpha: float
    beta: float
    optimum_kl: float | None = None


def gao_law(kl: FloatArray, alpha: float, beta: float, law: Law) -> FloatArray:
    """R(d) = d (alpha - beta log d) for RL, d (alpha - beta d) for best-of-n; d = sqrt(KL), R(0) = 0.

    Gao, Schulman and Hilton 2022, "Scaling Laws for Reward Model Overoptimization".
    """
    d = np.sqrt(np.maximum(kl, 0.0))
    bend = np.log(np.where(d > 0, d, 1.0)) if law == "rl" else d
    return np.asarray(d * (alpha - beta * bend))


def fit_gao_law(
    kl: Sequence[float] | FloatArray,
    gain: Sequence[float] | FloatArray,
    *,
    law: Law,
    scorer: str,
) -> CurveFit:
    """Least squares of gain over the start on KL (nats); both laws are linear in alpha and beta.

    The optimum, exp(alpha/beta - 1)^2 or (alpha / 2 beta)^2 nats, is given only where the curve
    bends down (beta > 0) and the optimum lies inside the observed range. Needs three points.
    """
    x, y = np.asarray(kl, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    x, y = x[x > 0], y[x > 0]
    if len(np.unique(x)) < 3:
        raise ValueError(f"a Gao fit needs 3 different KL values above 0, got {len(np.unique(x))}.")
    design = np.stack([gao_law(x, 1.0, 0.0, law), gao_law(x, 0.0, 1.0, law)], axis=1)
    (alpha, beta), *_ = np.linalg.lstsq(design, y, rcond=None)
    optimum = _optimum(float(alpha), float(beta), law)
    inside = optimum is not None and x.min() <= optimum <= x.max()
    return CurveFit(law, scorer, float(alpha), float(beta), optimum if inside else None)


def _optimum(alpha: float, beta: float, law: Law) -> float | None:
    if beta <= 0 or alpha <= 0:
        return None
    if law == "best_of_n":
        return (alpha / (2 * beta)) ** 2
    return math.exp(2 * (alpha / beta - 1)) if alpha / beta < 50 else None


@dataclass(frozen=True)
class RunCurve:
    """One run: KL to the reference (nats) and reward of its policies, [n] each."""

    kl: FloatArray
    reward: FloatArray


def pooled_optimum(
    runs: Sequence[RunCurve], *, level: float = 0.95, fewest: int = 8
) -> float | None:
    """The KL (nats) at which the reward of several runs was highest, by Gao's law for RL.

    reward = start of its run + d (alpha - beta log d), d = sqrt(KL), by least squares: a start for each
    run, so that no noisy first measurement moves a whole curve. The optimum exp(alpha/beta - 1)^2 is
    given only where it lies inside the observed range and the runs show that they passed it: the slope
    alpha - beta (1 + log d) at the greatest distance is under 0 at `level`, one-sided, so that the upper
    end of Fieller's interval for the optimum is observed as well. None otherwise, and with fewer than
    `fewest` distances.
    """
    if not runs:
        return None
    kl = np.concatenate([run.kl for run in runs])
    observed = kl[kl > 0]
    of_run = np.repeat(np.eye(len(runs)), [len(run.kl) for run in runs], axis=0)
    if len(np.unique(observed)) < fewest or len(kl) < of_run.shape[1] + 4:
        return None
    design = np.column_stack([gao_law(kl, 1.0, 0.0, "rl"), gao_law(kl, 0.0, 1.0, "rl"), of_run])
    reward = np.concatenate([run.reward for run in runs])
    found, *_ = np.linalg.lstsq(design, reward, rcond=None)
    if not _falls_at(math.sqrt(observed.max()), design, reward - design @ found, found, level):
        return None
    optimum = _optimum(float(found[0]), float(found[1]), "rl")
    inside = optimum is not None and observed.min() <= optimum <= observed.max()
    return optimum if inside else None


def _falls_at(
    d: float, design: FloatArray, residuals: FloatArray, found: FloatArray, level: float
) -> bool:
    """Whether the fitted law's slope at distance `d` is under 0: a one-sided t test at `level`."""
    slope = np.zeros(len(found))
    slope[:2] = 1.0, -(1.0 + math.log(d))
    free = len(residuals) - len(found)
    variance = float(residuals @ residuals) / free
    spread = max(float(slope @ np.linalg.pinv(design.T @ design) @ slope), 0.0)
    return float(slope @ found) < -t_quantile(level, free) * math.sqrt(variance * spread)


def first_difference_correlation(
    reward: Sequence[float] | FloatArray,
    evaluation: Sequence[float] | FloatArray,
    *,
    seed: int,
    level: float = 0.90,
    block: int = 3,
    resamples: int = 2000,
) -> Interval:
    """Spearman correlation of the steps of two curves over checkpoints, block bootstrap interval.

    Differences, because two independent random walks of 20 checkpoints look correlated 44 % of the
    time. Blocks of neighbouring steps are drawn around the circle. Needs 12 checkpoints; ValueError
    also where a curve hardly varies.
    """
    first = np.diff(np.asarray(reward, dtype=np.float64))
    second = np.diff(np.asarray(evaluation, dtype=np.float64))
    steps = len(first)
    if steps != len(second) or steps < FEWEST - 1:
        raise ValueError(
            f"the mismatch needs two curves of {FEWEST} checkpoints or more, got {steps + 1}."
        )
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, steps, (resamples, math.ceil(steps / block)))
    index = (starts[:, :, None] + np.arange(block)) % steps
    index = index.reshape(resamples, -1)[:, :steps]
    return percentile_interval(
        float(_spearman(first, second)),
        _spearman(first[index], second[index]),
        level=level,
        n=steps,
        method=f"circular bootstrap, blocks of {block}",
    )


def _spearman(first: FloatArray, second: FloatArray) -> FloatArray:
    """Rank correlation along the last axis; NaN where either side does not vary."""
    from scipy.stats import rankdata  # here, since it is slow to load and most processes need none

    a, b = (rankdata(side, axis=-1) for side in (first, second))
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    scale = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    together = (a * b).sum(-1)
    return np.asarray(np.where(scale > 0, together / np.where(scale > 0, scale, 1.0), np.nan))
