"""Bradley-Terry ratings of the versions of a line from their head-to-head labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.special import expit

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.quantiles import normal_quantile

__all__ = ["bradley_terry_ratings"]


def bradley_terry_ratings(
    wins: npt.ArrayLike | sparse.sparray,
    *,
    prior_std: float = 2.0,
    level: float = 0.95,
    anchor: int = 0,
) -> tuple[Interval, ...]:
    """Ratings in log-odds relative to version `anchor`, which has rating 0 exactly.

    `wins[i, j]` counts how often i beat j (a tie adds 0.5 to both); it may be sparse, and time and memory
    then follow the pairs of versions that met. The maximum a posteriori under independent normal priors of
    `prior_std`, which keeps versions that never lost finite; the intervals are the Laplace approximation of
    the difference to the anchor.
    """
    matrix = _checked(wins)
    games = sparse.coo_array(matrix + matrix.T)
    won = np.asarray(matrix.sum(axis=1)).ravel()
    rating = np.zeros(matrix.shape[0])
    for _ in range(200):
        gradient, information = _posterior(rating, won, games, prior_std)
        step = splu(information).solve(gradient)
        rating += step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-10:
            break
    _, information = _posterior(rating, won, games, prior_std)
    played = np.asarray(games.sum(axis=1)).ravel()
    return _intervals(rating - rating[anchor], _variances(information, anchor), played, level)


def _checked(wins: npt.ArrayLike | sparse.sparray) -> Any:
    """The counts as a sparse matrix of floats; ValueError where they are none."""
    given: Any = wins if sparse.issparse(wins) else np.asarray(wins, dtype=np.float64)
    shape = np.shape(given)
    if len(shape) != 2 or shape[0] != shape[1] or (given < 0).sum() > 0:
        raise ValueError(
            "wins must be a square matrix of counts: wins[i, j] is how often i beat j."
        )
    return sparse.csr_array(given, dtype=np.float64)


def _posterior(
    rating: FloatArray, won: FloatArray, games: Any, prior_std: float
) -> tuple[FloatArray, Any]:
    """Gradient (versions,) and sparse negative Hessian (versions, versions) of the log posterior."""
    size = len(rating)
    p = expit(rating[games.row] - rating[games.col])
    expected = np.bincount(games.row, weights=games.data * p, minlength=size)
    gradient = won - expected - rating / prior_std**2
    weight = games.data * p * (1 - p)
    met = sparse.coo_array((weight, (games.row, games.col)), shape=(size, size))
    diagonal = np.bincount(games.row, weights=weight, minlength=size) + 1 / prior_std**2
    return gradient, sparse.csc_array(sparse.diags_array(diagonal) - met)


def _variances(information: Any, anchor: int) -> FloatArray:
    """Posterior variances (versions,) of the differences to the anchor."""
    unit = np.zeros(information.shape[0])
    unit[anchor] = 1.0
    to_anchor = np.asarray(splu(information).solve(unit))
    variances: FloatArray = _inverse_diagonal(information) + to_anchor[anchor] - 2 * to_anchor
    variances[anchor] = 0.0  # exactly, whatever rounding left
    return variances


def _inverse_diagonal(matrix: Any) -> FloatArray:
    """The diagonal (n,) of the inverse of a symmetric positive definite matrix, without the rest of it.

    Of A = L D L' the inverse Z satisfies Z = D^-1 L^-1 + (I - L') Z, which gives its elements in the places
    of L from the last column to the first (Takahashi, Fagan & Chen 1973).
    """
    symmetric = {"SymmetricMode": True}
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
    lower, pivots = sparse.csc_array(factors.L), factors.U.diagonal()
    inverse: dict[tuple[int, int], float] = {}
    for j in range(matrix.shape[0] - 1, -1, -1):
        column = slice(lower.indptr[j], lower.indptr[j + 1])
        below = [
            (i, value)
            for i, value in zip(
                lower.indices[column].tolist(), lower.data[column].tolist(), strict=True
            )
            if i > j
        ]
        for i, _ in below:
            inverse[i, j] = inverse[j, i] = -sum(inverse[i, k] * value for k, value in below)
        inverse[j, j] = 1 / pivots[j] - sum(value * inverse[k, j] for k, value in below)
    return np.array([inverse[place, place] for place in factors.perm_c.tolist()])


def _intervals(
    values: FloatArray, variances: FloatArray, played: FloatArray, level: float
) -> tuple[Interval, ...]:
    z = normal_quantile(0.5 + level / 2)
    found = []
    for value, variance, n in zip(values.tolist(), variances.tolist(), played, strict=True):
        spread = z * math.sqrt(max(0.0, variance))
        found.append(Interval(value, value - spread, value + spread, level, int(n), "Laplace"))
    return tuple(found)
