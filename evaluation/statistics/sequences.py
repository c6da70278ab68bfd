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

import numpy as np

from evaluation.statistics.intervals import FloatArray

__all__ = ["FRACTIONS", "LARGEST", "confidence_sequence", "e_process", "outcomes_checked"]

# Fractions of the capital that are bet, evenly spaced on the log scale: win rates from just above
# the null to near certainty each have a bettor that is close to the best one for them.
FRACTIONS = np.geomspace(0.02, 0.9, 16)
MOST_VALUES = 64  # different outcomes that are counted: labels have seven
LARGEST = 1e300  # keeps e-values finite in JSON


def e_process(outcomes: Sequence[float] | FloatArray, *, null: float = 0.5) -> FloatArray:
    """E-values [labels] against "the mean is at most `null`", one after each outcome."""
    if not 0 < null < 1:
        raise ValueError(f"the null must lie between 0 and 1, got {null!r}.")
    x = outcomes_checked(outcomes)
    capital = _log_capital(x, np.array([null]), FRACTIONS)[:, 0]
    return np.minimum(np.exp(np.minimum(capital, 700.0)), LARGEST)


def confidence_sequence(
    outcomes: Sequence[float] | FloatArray, *, level: float = 0.95, grid: int = 400
) -> FloatArray:
    """Bounds [labels, 2] that hold the mean at all times together with probability `level`.

    Every mean m of a grid is bet against from both sides with half the capital each; means whose
    capital has ever reached 1/alpha are out. The bounds are widened by one grid step.
    """
    x = outcomes_checked(outcomes)
    means = (np.arange(grid) + 0.5) / grid
    limit = -np.log(1 - level)
    above = np.maximum.accumulate(_hedged_log_capital(x, means), axis=0)
    alive = above < limit
    step = 0.5 / grid
    low = np.where(alive.any(1), means[alive.argmax(1)] - step, np.nan)
    high = np.where(alive.any(1), means[grid - 1 - alive[:, ::-1].argmax(1)] + step, np.nan)
    bounds = np.stack([low, high], axis=1)
    return _last_nonempty(bounds)


def outcomes_checked(outcomes: Sequence[float] | FloatArray) -> FloatArray:
    """[labels], each in [0, 1]; ValueError otherwise, or where there are none."""
    x = np.asarray(outcomes, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError("evidence needs at least one outcome.")
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError("every outcome must lie in [0, 1]: 1 a win, 0.5 a tie, 0 a loss.")
    return x


def _log_capital(x: FloatArray, means: FloatArray, fractions: FloatArray) -> FloatArray:
    """log of the mixture's capital [labels, means] of bets on "above the mean"."""
    values, where = np.unique(x, return_inverse=True)
    if len(values) > MOST_VALUES:  # counting them would take more than adding up
        logs = [np.log1p(fractions * (x[:, None] / mean - 1)).cumsum(axis=0) for mean in means]
        return np.stack([_log_mean_exp(log) for log in logs], axis=1)
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
