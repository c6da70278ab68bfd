"""Are stated probabilities met? Reliability bins, ECE and its null, temperature, log-loss.

`logits` are raw Bradley-Terry score differences, `outcomes` 1 where the first text won, 0 where it
lost; log-loss and temperature also take soft outcomes such as 0.5 for a tie.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from evaluation.contracts import ReliabilityBin
from evaluation.statistics.intervals import FloatArray, IntArray

__all__ = [
    "ece_null_quantile",
    "expected_calibration_error",
    "fit_temperature",
    "log_loss",
    "reliability_bins",
]

AT_ONCE = 200  # resamples whose orders are held in memory together


def expected_calibration_error(
    probabilities: FloatArray, outcomes: FloatArray, *, bins: int = 10
) -> float:
    """ECE (Naeini 2015) over equal-width bins of [0, 1]: sum_b n_b/n |mean outcome - mean p|."""
    _require_same_length(probabilities, outcomes)
    gaps = np.bincount(
        _bin_index(probabilities, bins), weights=outcomes - probabilities, minlength=bins
    )
    return float(np.abs(gaps).sum() / len(probabilities))


def ece_null_quantile(
    probabilities: FloatArray,
    *,
    seed: int,
    bins: int = 10,
    quantile: float = 0.95,
    resamples: int = 2000,
    answers: IntArray | None = None,
) -> float:
    """Quantile of the ECE when every probability is exactly right (parametric bootstrap).

    At n = 500 in 10 bins a perfect model still shows an ECE of about 0.046: compare with this.

    `answers` [N, 2] numbers the two texts of each pair where pairs of one ranking share theirs: whole orders are
    drawn then (`_orders_drawn`), since such pairs are no independent outcomes and chance moves them together.
    """
    rng = np.random.default_rng(seed)
    one_hot = np.eye(bins)[_bin_index(probabilities, bins)]
    if answers is None:
        draws = (rng.random((resamples, len(probabilities))) < probabilities).astype(np.float64)
        gaps = np.abs((draws - probabilities) @ one_hot)
    else:
        parts = [
            np.abs((_orders_drawn(rng, probabilities, answers, count) - probabilities) @ one_hot)
            for count in _in_parts(resamples, AT_ONCE)
        ]
        gaps = np.concatenate(parts)
    return float(np.quantile(gaps.sum(1) / len(probabilities), quantile))


def _orders_drawn(
    rng: np.random.Generator, probabilities: FloatArray, answers: IntArray, count: int
) -> FloatArray:
    """[count, N], 1 where the first text of a pair won: each text of a ranking has one Gumbel noise for all of its
    pairs. Two of these differ by a logistic variable, so that each pair is won with exactly its probability; and
    where the log-odds are differences of scores the whole is an order by Plackett and Luce (Yellott 1977)."""
    noise = rng.gumbel(size=(count, int(answers.max()) + 1))
    behind = noise[:, answers[:, 1]] - noise[:, answers[:, 0]]
    return np.asarray(expit(behind) < probabilities, dtype=np.float64)


def _in_parts(total: int, most: int) -> Iterator[int]:
    for begun in range(0, total, most):
        yield min(most, total - begun)


def reliability_bins(
    probabilities: FloatArray, outcomes: FloatArray, *, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """The bins that hold anything, in order."""
    _require_same_length(probabilities, outcomes)
    index = _bin_index(probabilities, bins)
    return tuple(
        ReliabilityBin(
            low=b / bins,
            high=(b + 1) / bins,
            count=int((index == b).sum()),
            predicted=float(probabilities[index == b].mean()),
            observed=float(outcomes[index == b].mean()),
        )
        for b in np.unique(index)
    )


def log_loss(logits: FloatArray, outcomes: FloatArray) -> float:
    """Mean -[y log p + (1 - y) log(1 - p)] in nats, stable for large logits."""
    _require_same_length(logits, outcomes)
    return float((np.logaddexp(0.0, -logits) + (1 - outcomes) * logits).mean())


def fit_temperature(logits: FloatArray, outcomes: FloatArray, *, limit: float = 20.0) -> float:
    """T in [1/limit, limit] that minimises the log-loss of logits / T (Guo 2017).

    Above 1 the model is overconfident. At the limit nothing finite fits (pure noise, or separable).
    """
    edge = float(np.log(limit))
    found = minimize_scalar(
        lambda log_t: log_loss(logits / np.exp(log_t), outcomes),
        bounds=(-edge, edge),
        method="bounded",
    )
    return float(np.exp(found.x))


def _bin_index(probabilities: FloatArray, bins: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]; pass sigmoid(logits).")
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1)


def _require_same_length(first: FloatArray, second: FloatArray) -> None:
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(f"{len(first)} predictions but {len(second)} outcomes; both must match.")
