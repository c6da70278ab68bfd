"""Evidence aimed at a decision: bets that know the level to reach and the labels to reach it with.

Half of the capital is on the mixture of `evaluation.statistics.sequences`, so that a big win ends
early; the other half is bet as somebody would who must reach 1/level by the last planned label. With
u = (its capital) * level / 2, the price of an option that pays once the sum of outcomes touches a
barrier, z = -inverse normal(u / 2), sigma^2 the running mean square of the outcomes and T - n labels
to go, the fraction f = phi(z) / ((u / 2) sigma sqrt(T - n)) replicates that option. Any fraction that
is chosen before an outcome is seen makes a test martingale, so aiming costs no validity (Waudby-Smith
and Ramdas 2024); the option only makes the bets frugal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.sequences import e_process, outcomes_checked

__all__ = ["Aim", "aimed_capital", "hedged_e_process"]

LARGEST_FRACTION = 0.95


@dataclass(frozen=True)
class Aim:
    """1/`level` is to be reached within `labels`."""

    level: float
    labels: int

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or self.labels < 1:
            raise ValueError(f"cannot aim at level {self.level!r} in {self.labels!r} labels.")


def hedged_e_process(
    outcomes: Sequence[float] | FloatArray, *, aim: Aim, null: float = 0.5, block: int = 1
) -> FloatArray:
    """E-values against "the mean is at most `null`", one after each whole `block` of outcomes.

    Within a block the bets do not change: where a block holds one label each of several people, it is
    a fair game as soon as their average is at most the null, whoever of them is more lenient (the
    product of 1 + f mu_i is at most its value at their mean).
    """
    x = outcomes_checked(outcomes)
    whole = len(x) // block * block
    mixture = e_process(x, null=null)[block - 1 : whole : block]
    return np.asarray((mixture + aimed_capital(x[:whole], aim=aim, null=null, block=block)) / 2)


def aimed_capital(x: FloatArray, *, aim: Aim, null: float, block: int) -> FloatArray:
    """Capital [blocks] of the half that is bet towards the aim, from 1."""
    pays = x.reshape(-1, block) / null - 1.0
    capital, squares, found = 1.0, 1.0, []
    for index, paid in enumerate(pays):
        done = index * block
        fraction = _fraction(capital * aim.level / 2, squares / (done + 1), aim.labels - done)
        capital *= float(np.prod(1.0 + fraction * paid))
        squares += float(paid @ paid)
        found.append(capital)
    return np.array(found)


def _fraction(u: float, variance: float, left: int) -> float:
    """The share of the capital to bet; nothing once the barrier is reached or no label is left."""
    if u >= 1.0 or left <= 0:
        return 0.0
    half = max(u, 1e-300) / 2
    density = math.exp(-(float(ndtri(half)) ** 2) / 2) / math.sqrt(2 * math.pi)
    return min(LARGEST_FRACTION, density / (half * math.sqrt(variance * left)))
