"""Over-optimisation curves: Gao's laws, and the mismatch of two curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray, percentile_interval

__all__ = ["CurveFit", "first_difference_correlation", "fit_gao_law", "gao_law"]

Law = Literal["rl", "best_of_n"]


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
    time. Blocks of neighbouring steps are drawn around the circle. Needs 12 checkpoints.
    """
    first = np.diff(np.asarray(reward, dtype=np.float64))
    second = np.diff(np.asarray(evaluation, dtype=np.float64))
    steps = len(first)
    if steps != len(second) or steps < 11:
        raise ValueError(
            f"the mismatch needs two curves of 12 checkpoints or more, got {steps + 1}."
        )
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, steps, (resamples, math.ceil(steps / block)))
    index = (starts[:, :, None] + np.arange(block)) % steps
    index = index.reshape(resamples, -1)[:, :steps]
    draws = np.array([_spearman(first[i], second[i]) for i in index])
    return percentile_interval(
        _spearman(first, second), draws, level=level, n=steps, method="circular block bootstrap"
    )


def _spearman(first: FloatArray, second: FloatArray) -> float:
    a, b = stats.rankdata(first), stats.rankdata(second)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else float("nan")
