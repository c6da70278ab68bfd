"""Bradley-Terry ratings of the versions of a line from their head-to-head labels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import expit

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray

__all__ = ["bradley_terry_ratings"]


def bradley_terry_ratings(
    wins: npt.ArrayLike, *, prior_std: float = 2.0, level: float = 0.95, anchor: int = 0
) -> tuple[Interval, ...]:
    """Ratings in log-odds relative to version `anchor`, which has rating 0 exactly.

    `wins[i, j]` counts how often i beat j (a tie adds 0.5 to both). The maximum a posteriori under
    independent normal priors of `prior_std`, which keeps versions that never lost finite; the
    intervals are the Laplace approximation of the difference to the anchor.
    """
    matrix = np.asarray(wins, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix < 0).any():
        raise ValueError(
            "wins must be a square matrix of counts: wins[i, j] is how often i beat j."
        )
    games = matrix + matrix.T
    rating = np.zeros(len(matrix))
    for _ in range(200):
        gradient, information = _posterior(rating, matrix, games, prior_std)
        step = np.linalg.solve(information, gradient)
        rating += step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-10:
            break
    _, information = _posterior(rating, matrix, games, prior_std)
    return _relative(
        rating, np.asarray(np.linalg.inv(information), dtype=np.float64), games, anchor, level
    )


def _posterior(
    rating: FloatArray, wins: FloatArray, games: FloatArray, prior_std: float
) -> tuple[FloatArray, FloatArray]:
    """Gradient and negative Hessian of the log posterior."""
    p = expit(np.subtract.outer(rating, rating))
    gradient = (wins - games * p).sum(1) - rating / prior_std**2
    weight = games * p * (1 - p)
    information = np.diag(weight.sum(1) + 1 / prior_std**2) - weight
    return gradient, information


def _relative(
    rating: FloatArray, covariance: FloatArray, games: FloatArray, anchor: int, level: float
) -> tuple[Interval, ...]:
    z = float(stats.norm.ppf(0.5 + level / 2))
    found = []
    for i, value in enumerate(rating - rating[anchor]):
        variance = covariance[i, i] + covariance[anchor, anchor] - 2 * covariance[i, anchor]
        spread = z * math.sqrt(max(0.0, float(variance)))
        n = int(games[i].sum())
        found.append(
            Interval(
                float(value), float(value) - spread, float(value) + spread, level, n, "Laplace"
            )
        )
    return tuple(found)
