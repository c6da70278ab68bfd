"""A linear head on a frozen reward model's states, learned from what users said, with every user's weight capped.

An example is a pair of texts of which the first is better (an edit and what it replaced), or one text with a
thumb. With x = phi(first) - phi(second), and no constant, for a pair, and x = phi(text) with the constant a
for a thumb, one logistic regression learns both:

    sum_i w_i log(1 + exp(-y_i (x_i b + a u_i))) + |b|^2 / 2 + a^2 / 200,    y_i = 1 or -1, u_i = 1 for a thumb

which on pairs is Bradley-Terry's (1952). phi are the leading principal components of the states, each with
variance 1. Of a user with n examples each weighs min(n, cap) / n, and the cap is chosen so that nobody weighs
more than `MOST_SHARE` of all: so many users as 1 / MOST_SHARE are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from evaluation.statistics.intervals import FloatArray, cluster_codes

__all__ = ["FEWEST_USERS", "MOST_SHARE", "HeadExamples", "SignalHead", "head_fit", "user_weights"]

MOST_SHARE = 0.02
FEWEST_USERS = round(1 / MOST_SHARE)
CAPS = (3.0, 2.5, 2.0, 1.5, 1.0)
COMPONENTS = 32

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeadExamples:
    """N examples: states `first` and `second` [N, d] (`second` is not read where `paired` [N] is false), `up`
    [N] whether the first is better, or the thumb was up, and `users` [N]."""

    first: FloatArray
    second: FloatArray
    paired: BoolArray
    up: BoolArray
    users: Sequence[Hashable]


@dataclass(frozen=True)
class SignalHead:
    """`largest_share` is what the heaviest user weighed."""

    mean: FloatArray
    directions: FloatArray
    coefficients: FloatArray
    largest_share: float

    def scores(self, states: FloatArray) -> FloatArray:
        """Of states [N, d]: differences are log-odds. [N]"""
        return np.asarray((states - self.mean) @ self.directions @ self.coefficients)


def user_weights(users: Sequence[Hashable]) -> tuple[FloatArray, float]:
    """Weight of each example [N], and the share of the heaviest user. ValueError with too few users."""
    codes, count = cluster_codes(users)
    if count < FEWEST_USERS:
        raise ValueError(f"a share of {MOST_SHARE:.0%} needs {FEWEST_USERS} users, got {count}.")
    given = np.bincount(codes, minlength=count).astype(np.float64)
    for cap in CAPS:
        weights = np.minimum(given, cap)
        share = float(weights.max() / weights.sum())
        if share <= MOST_SHARE + 1e-12:
            break
    return np.asarray((weights / given)[codes]), share


def head_fit(examples: HeadExamples) -> SignalHead:
    """ValueError with fewer than `FEWEST_USERS` users, or where nothing tells the examples apart."""
    weights, share = user_weights(examples.users)
    paired, up = examples.paired, examples.up
    if not paired.any() and (up.all() or not up.any()):
        raise ValueError("all thumbs are the same, and nobody edited or asked again.")
    mean, directions = _components(np.vstack([examples.first, examples.second[paired]]))
    x = (examples.first - mean) @ directions
    x[paired] -= (examples.second[paired] - mean) @ directions
    design = np.column_stack([x, (~paired).astype(np.float64)])
    sign = np.where(up, 1.0, -1.0)
    ridge = np.append(np.ones(x.shape[1]), 0.01)

    def loss(b: FloatArray) -> tuple[float, FloatArray]:
        margin = sign * (design @ b)
        value = float(weights @ np.logaddexp(0.0, -margin) + 0.5 * ridge @ b**2)
        return value, ridge * b - design.T @ (weights * sign * expit(-margin))

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B")
    return SignalHead(mean, directions, np.asarray(found.x[:-1]), share)


def _components(states: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(mean [d], directions [d, k]): states less the mean, times the directions, have k columns of variance 1."""
    mean = states.mean(0)
    _, sizes, axes = np.linalg.svd(states - mean, full_matrices=False)
    deviations = sizes / np.sqrt(len(states))
    kept = np.flatnonzero(deviations > 1e-6 * max(float(deviations[0]), 1e-12))[:COMPONENTS]
    return mean, (axes[kept] / deviations[kept, None]).T
