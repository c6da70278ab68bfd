"""What a reward model's score differences are worth: accuracy, likelihood, temperature, length.

Pure functions on tensors (B,): `difference` = r_0 - r_1, `preference` = P(completion 0 is better).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.core.reward.losses import bradley_terry_loss
from training.core.reward.ties import TieModel, pair_nll, win_log_odds

HALF = TieModel()
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Accuracy:
    """Share of untied pairs ordered as preferred, with its 95 % interval: Wilson's, at the number of independent
    pairs that vary as much where pairs come from rankings."""

    accuracy: float | None
    low: float | None
    high: float | None
    pairs: int

    def to_json(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "interval": [self.low, self.high], "pairs": self.pairs}


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927); `trials` is more than 0."""
    share, z2 = successes / trials, _Z95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    half /= 1 + z2 / trials
    return max(0.0, middle - half), min(1.0, middle + half)


def accuracy(
    difference: Tensor, preference: Tensor, rankings: Sequence[str] | None = None
) -> Accuracy:
    """Ties in `preference` are left out; an equal score on an untied pair counts as half.

    `rankings` names the ranking of each pair, "" for a pair of its own: the pairs of one ranking are no independent
    trials. Their number is then p (1 - p) / V, V = G / (G - 1) sum_g (sum_{i in g} (y_i - p))^2 / n^2 over the G
    rankings and single pairs (Korn and Graubard 1998), never more than there are pairs, and G where nothing varies.
    """
    untied = preference != 0.5
    trials = int(untied.sum())
    if trials == 0:
        return Accuracy(None, None, None, 0)
    agrees = torch.sign(difference[untied]) * torch.sign(preference[untied] - 0.5)
    credit = ((agrees + 1) / 2).double()
    right = float(credit.sum())
    named = None if rankings is None else [rankings[int(i)] for i in untied.nonzero()]
    size = _independent(credit, named) if named and any(named) else float(trials)
    share = right / trials
    low, high = wilson_interval(share * size, size)
    return Accuracy(share, low, high, trials)


def _independent(credit: Tensor, rankings: Sequence[str]) -> float:
    """How many independent pairs vary as much as `credit` (n,), whose pairs come from `rankings`."""
    numbers: dict[tuple[str, int], int] = {}
    codes = [
        numbers.setdefault((name, 0 if name else place), len(numbers))
        for place, name in enumerate(rankings)
    ]
    count, share = len(numbers), float(credit.mean())
    sums = torch.zeros(count, dtype=credit.dtype).index_add_(0, torch.tensor(codes), credit - share)
    spread = float((sums**2).sum()) * count
    if count < 2 or spread == 0:
        return float(count)
    variance = spread / (count - 1) / len(credit) ** 2
    return min(float(len(credit)), share * (1 - share) / variance)


def negative_log_likelihood(
    difference: Tensor, preference: Tensor, temperature: float = 1.0, ties: TieModel = HALF
) -> float | None:
    """Mean of -p log sigmoid(l) - (1-p) log sigmoid(-l) in nats, l = log-odds of winning at d / T.

    Ties are part of it, as p = 1/2, whichever tie model is used: so models can be compared.
    """
    if len(difference) == 0:
        return None
    log_odds = win_log_odds(difference / temperature, ties)
    return float(bradley_terry_loss(log_odds, preference, torch.zeros_like(difference)).mean())


def temperature_fit(
    difference: Tensor,
    preference: Tensor,
    weight: Tensor,
    *,
    tie_share: Tensor | None = None,
    ties: TieModel = HALF,
) -> float:
    """The T in [0.05, 20] with the least weighted likelihood loss of d / T; 1 where there is no data.

    The loss is convex in 1/T (Guo 2017, temperature scaling), under the tie models too, so ternary
    search finds it. A tie model's parameter stays what it is.
    """
    if len(difference) == 0 or float(weight.sum()) <= 0:
        return 1.0
    d, p, w = difference.double(), preference.double(), weight.double()
    t = torch.zeros_like(p) if tie_share is None else tie_share.double()

    def loss(inverse: float) -> float:
        return float((w * pair_nll(d * inverse, p, t, ties)).sum())

    low, high = 0.05, 20.0
    for _ in range(100):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return 2.0 / (low + high)


def longer_is_better(length_difference: Tensor, preference: Tensor) -> bool:
    """Whether the longer completion wins at least half of the untied pairs of a training split."""
    share = accuracy(length_difference, preference).accuracy
    return share is None or share >= 0.5
