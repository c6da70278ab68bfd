"""Evidence that may be looked at after every label: betting e-processes, confidence sequences.

Outcomes are what people said of one fresh prompt each, in the order in which they came: 1 the
candidate won, 0.5 a tie, 0 it lost (any value in [0, 1] is allowed). A gambler bets against "the
mean is at most m": capital K_t(f) = prod_i (1 + f (x_i - m) / m), 0 < f < 1. Under that hypothesis
each K_t is a nonnegative supermartingale from 1, and so is their mixture over f; by Ville's
inequality it ever reaches 1/alpha with probability at most alpha, whenever one stops looking
(Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.contracts import EProcessPoint, Interval
from evaluation.statistics.intervals import FloatArray

__all__ = ["WinRateEvidence", "confidence_sequence", "e_process", "win_rate_evidence"]

# Fractions of the capital that are bet, evenly spaced on the log scale: win rates from just above
# the null to near certainty each have a bettor that is close to the best one for them.
FRACTIONS = np.geomspace(0.02, 0.9, 16)
LARGEST = 1e300  # keeps e-values finite in JSON


@dataclass(frozen=True)
class WinRateEvidence:
    """Where the evidence stands; `interval` is the confidence sequence, valid at any time."""

    wins: int
    ties: int
    losses: int
    e_value: float
    max_e_value: float
    max_e_value_worse: float
    interval: Interval
    trajectory: tuple[EProcessPoint, ...]


def e_process(outcomes: Sequence[float] | FloatArray, *, null: float = 0.5) -> FloatArray:
    """E-values [labels] against "the mean is at most `null`", one after each outcome."""
    if not 0 < null < 1:
        raise ValueError(f"the null must lie between 0 and 1, got {null!r}.")
    x = _outcomes(outcomes)
    capital = _log_capital(x, np.array([null]), FRACTIONS)[:, 0]
    return np.minimum(np.exp(np.minimum(capital, 700.0)), LARGEST)


def confidence_sequence(
    outcomes: Sequence[float] | FloatArray, *, level: float = 0.95, grid: int = 400
) -> FloatArray:
    """Bounds [labels, 2] that hold the mean at all times together with probability `level`.

    Every mean m of a grid is bet against from both sides with half the capital each; means whose
    capital has ever reached 1/alpha are out. The bounds are widened by one grid step.
    """
    x = _outcomes(outcomes)
    means = (np.arange(grid) + 0.5) / grid
    limit = -np.log(1 - level)
    above = np.maximum.accumulate(_hedged_log_capital(x, means), axis=0)
    alive = above < limit
    step = 0.5 / grid
    low = np.where(alive.any(1), means[alive.argmax(1)] - step, np.nan)
    high = np.where(alive.any(1), means[grid - 1 - alive[:, ::-1].argmax(1)] + step, np.nan)
    bounds = np.stack([low, high], axis=1)
    return _last_nonempty(bounds)


def win_rate_evidence(
    outcomes: Sequence[float] | FloatArray,
    *,
    null: float = 0.5,
    level: float = 0.95,
    points: int = 120,
) -> WinRateEvidence:
    """Everything that the gate and its chart need; the trajectory is thinned to `points`."""
    x = _outcomes(outcomes)
    better, worse = e_process(x, null=null), e_process(1 - x, null=1 - null)
    bounds = confidence_sequence(x, level=level)
    rates = np.cumsum(x) / np.arange(1, len(x) + 1)
    kept = np.unique(np.linspace(0, len(x) - 1, min(points, len(x))).round().astype(int))
    trajectory = tuple(
        EProcessPoint(
            int(i) + 1, float(rates[i]), float(bounds[i, 0]), float(bounds[i, 1]), float(better[i])
        )
        for i in kept
    )
    low, high = (float(b) for b in bounds[-1])
    rate = float(rates[-1])
    interval = Interval(rate, min(low, rate), max(high, rate), level, len(x), "confidence sequence")
    return WinRateEvidence(
        wins=int((x > 0.5).sum()),
        ties=int((x == 0.5).sum()),
        losses=int((x < 0.5).sum()),
        e_value=float(better[-1]),
        max_e_value=float(better.max()),
        max_e_value_worse=float(worse.max()),
        interval=interval,
        trajectory=trajectory,
    )


def _outcomes(outcomes: Sequence[float] | FloatArray) -> FloatArray:
    x = np.asarray(outcomes, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError("evidence needs at least one outcome.")
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError("every outcome must lie in [0, 1]: 1 a win, 0.5 a tie, 0 a loss.")
    return x


def _log_capital(x: FloatArray, means: FloatArray, fractions: FloatArray) -> FloatArray:
    """log of the mixture's capital [labels, means] of bets on "above the mean"."""
    values, where = np.unique(x, return_inverse=True)
    seen = np.cumsum(where[:, None] == np.arange(len(values))[None, :], axis=0)
    relative = values[None, :, None] / means[:, None, None] - 1  # means, values, 1
    gains = np.log1p(fractions[None, None, :] * relative)  # means, values, fractions
    return np.stack([_log_mean_exp(seen @ gain) for gain in gains], axis=1)


def _log_mean_exp(logs: FloatArray) -> FloatArray:
    """log of the mean of exp(logs) over the last axis, without overflow."""
    top = logs.max(axis=-1)
    return np.asarray(top + np.log(np.exp(logs - top[..., None]).mean(axis=-1)))


def _hedged_log_capital(x: FloatArray, means: FloatArray) -> FloatArray:
    above = _log_capital(x, means, FRACTIONS)
    below = _log_capital(1 - x, 1 - means, FRACTIONS)
    return np.asarray(np.logaddexp(above, below) - np.log(2))


def _last_nonempty(bounds: FloatArray) -> FloatArray:
    """Carry the last nonempty bounds forward (all means are out with probability <= alpha)."""
    for i in range(1, len(bounds)):
        if np.isnan(bounds[i, 0]):
            bounds[i] = bounds[i - 1]
    return bounds
