"""Predictions of a reward model as a control variate: less spread, so fewer labels for the same evidence.

Label k's outcome x_k in [0, 1] becomes y_k = x_k - b_k (g_k - c_k): g_k is what the model predicts for
its pair, c_k the mean prediction of the label's own share of a reference, pairs drawn like the labelled
ones that nobody is asked about. A reference pair serves one label. So g_k and c_k have one mean, whatever was
seen before, and E[y_k | before] = E[x_k | before] for every b_k that is fixed before x_k is seen: what a
bettor may bet on x, they may bet on y. The coefficient is cross-fitted, by least squares on the labels of
earlier blocks, as in PPI++ (Angelopoulos, Duchi and Zrnic 2023); with r reference pairs a label and a
correlation rho of predictions and outcomes, the variance falls by rho^2 r / (r + 1).

The mean of all predictions of a pool, labelled and not, would not do in c_k's place: known beforehand, it
says whether the pairs still to come are good ones, so that y_k is no fair game (Csillag, Struchiner
and Goedert 2025, "Prediction-Powered E-Values", draw for each pair whether it is labelled; here that
was settled before).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.sequences import outcomes_checked

__all__ = [
    "LARGEST_COEFFICIENT",
    "ControlledOutcomes",
    "Differences",
    "control_outcomes",
    "controlled_differences",
]

LARGEST_COEFFICIENT = 2.0  # y lies in [-2, 3]: bets on it stay a reasonable size
FURTHEST = 3.0


@dataclass(frozen=True)
class Differences:
    """g - c [labels read] of each label in the order of reading, and how many `reference` pairs it took.

    0, which leaves an outcome as it is, where a prediction is missing or no reference pair is left.
    """

    values: FloatArray
    reference: int

    def correlation(self, outcomes: FloatArray) -> float:
        """Of `outcomes` with the predictions as they are used; 0 where either is constant."""
        used = self.values != 0.0
        if not used.any():
            return 0.0
        x, d = outcomes[used], self.values[used]
        spread = float(x.std() * d.std())
        return float(((x - x.mean()) * d).mean()) / spread if spread > 0 else 0.0


@dataclass(frozen=True)
class ControlledOutcomes:
    """`values` y [labels], `coefficients` b [labels], and `bounded` z [labels] in [0, 1].

    z = m + (y - m) / (1 + b / min(m, 1 - m)), where m is the null: its mean is at most m where that of y
    is, and b is known before the outcome.
    """

    values: FloatArray
    bounded: FloatArray
    coefficients: FloatArray


def controlled_differences(
    predicted: Sequence[float] | FloatArray,
    reference: Sequence[float] | FloatArray,
    *,
    labels: int,
) -> Differences:
    """What the predictions say of each label beyond what they say of its share of the `reference`.

    That is shared out in its drawn order over the first `labels` labels, as evenly as it goes. A prediction
    that is no number in [0, 1] counts as missing.
    """
    g = np.asarray(predicted, dtype=np.float64)
    known = np.asarray(reference, dtype=np.float64)
    known = known[_is_share(known)]
    edges = np.minimum(np.arange(len(g) + 1), labels) * len(known) // max(1, labels)
    sums = np.concatenate([[0.0], np.cumsum(known)])[edges]
    counts = np.diff(edges)
    usable = _is_share(g) & (counts > 0)
    means = np.diff(sums) / np.maximum(counts, 1)
    values = np.where(usable, np.where(usable, g, 0.0) - means, 0.0)
    return Differences(values, int(edges[-1]))


def control_outcomes(
    outcomes: Sequence[float] | FloatArray, differences: Differences, *, null: float, block: int
) -> ControlledOutcomes:
    """The outcomes with what predictions tell of them taken away; whole blocks share a coefficient."""
    x = outcomes_checked(outcomes)
    d = differences.values
    if d.shape != x.shape:
        raise ValueError(f"{len(x)} outcomes but {len(d)} predictions.")
    b = _coefficients(x, d, block)
    if not b.any():
        return ControlledOutcomes(x, x, b)
    y = x - b * d
    bounded = np.clip(null + (y - null) / (1 + b / min(null, 1 - null)), 0.0, 1.0)
    return ControlledOutcomes(y, bounded, b)


def _is_share(values: FloatArray) -> np.ndarray:
    return np.asarray((values >= 0) & (values <= 1))  # false for NaN


def _coefficients(x: FloatArray, d: FloatArray, block: int) -> FloatArray:
    """b [labels], from the labels of earlier blocks alone.

    The slope of x on d, less what of it is noise: slope - se^2 / slope where it exceeds its standard
    error se, and 0 elsewhere. Never negative: a model that predicts the wrong way round is not used. And 0
    where the differences so far add up to more than `FURTHEST` standard errors from 0: then the labelled
    pairs are not like the reference, as where people skip pairs for what they say.
    """
    starts = np.arange(len(x)) // block * block

    def earlier(values: FloatArray) -> FloatArray:
        return np.asarray(np.concatenate([[0.0], np.cumsum(values)])[starts])

    n = np.maximum(starts, 1)
    spread = np.maximum(earlier(d * d), 1e-12)
    slope = (earlier(x * d) - earlier(x) * earlier(d) / n) / spread
    variance = np.maximum(earlier(x * x) / n - (earlier(x) / n) ** 2, 0.0)
    noise = variance / spread
    alike = np.abs(earlier(d)) <= FURTHEST * np.sqrt(spread)
    helps = (starts > 0) & (slope > 0) & (slope**2 > noise) & alike
    shrunk = slope - noise / np.where(helps, slope, 1.0)
    return np.where(helps, np.minimum(shrunk, LARGEST_COEFFICIENT), 0.0)
