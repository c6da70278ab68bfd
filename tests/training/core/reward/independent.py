"""Reward-model likelihoods once more, in plain floating-point Python from the papers' own forms."""

from __future__ import annotations

import math

Shares = tuple[float, float, float]


def rao_kupper_by_strengths(first: float, second: float, eta: float) -> Shares:
    """Rao and Kupper 1967, Eq. 2.2: P(win) = pi_1 / (pi_1 + theta pi_2), with pi = e^r."""
    one, two, theta = math.exp(first), math.exp(second), math.exp(eta)
    win, loss = one / (one + theta * two), two / (two + theta * one)
    tie = one * two * (theta**2 - 1) / ((one + theta * two) * (two + theta * one))
    return win, tie, loss


def davidson_by_strengths(first: float, second: float, nu: float) -> Shares:
    """Davidson 1970: pi_1 : nu sqrt(pi_1 pi_2) : pi_2, with pi = e^r."""
    one, two = math.exp(first), math.exp(second)
    middle = nu * math.sqrt(one * two)
    everything = one + two + middle
    return one / everything, middle / everything, two / everything


def pair_loss_by_hand(
    first: float,
    second: float,
    preference: float,
    strength: float = 4.0,
    *,
    ties: str = "half",
    parameter: float = 0.0,
    tie_share: float = 0.0,
    margins: tuple[float, ...] = (0.0, 0.0, 0.0),
    smoothing: float = 0.0,
    centering: float = 0.0,
) -> float:
    """The whole loss of one pair; `strength` is a whole step."""
    p = (1 - smoothing) * preference + smoothing * (1 - preference)
    penalty = centering * (first + second) ** 2
    if ties == "half":
        m = (0.0, *margins)[abs(round(strength) - 4)]
        wins = 1 / (1 + math.exp(-(first - second - m)))
        loses = 1 / (1 + math.exp(-(second - first - m)))
        return -p * math.log(wins) - (1 - p) * math.log(loses) + penalty
    model = rao_kupper_by_strengths if ties == "rao_kupper" else davidson_by_strengths
    shares = (p - tie_share / 2, tie_share, 1 - p - tie_share / 2)
    likelihoods = model(first, second, parameter)
    terms = [s * math.log(q) for s, q in zip(shares, likelihoods, strict=True) if s > 0]
    return penalty - sum(terms)
