"""Evidence aimed at a decision: bets that know the level to reach and the labels to reach it with.

A quarter of the capital is on the mixture of `evaluation.statistics.sequences`, so that a big win
ends early; the rest, `AIMED`, is bet as somebody would who must reach 1/level by the last planned
label. With u = (its capital) * AIMED * level, the price of an option that pays once the sum of
outcomes touches a barrier, z = -inverse normal(u / 2), sigma^2 the running mean square of the outcomes and T - n labels
to go, the fraction f = phi(z) / ((u / 2) sigma sqrt(T - n)) replicates that option. Any fraction that
is chosen before an outcome is seen makes a test martingale, so aiming costs no validity (Waudby-Smith
and Ramdas 2024); the option only makes the bets frugal.

A candidate that was given a second budget goes on at the evidence E that it has: E is divided anew over the
mixture and an option on what is missing, 1/(E level), by the labels of the new budget. That too is settled
before they are seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.sequences import LARGEST, e_process, outcomes_checked

__all__ = ["AIMED", "Aim", "Budget", "aimed_capital", "hedged_e_process", "level_left"]

AIMED = 0.75
LARGEST_FRACTION = 0.95


@dataclass(frozen=True)
class Budget:
    """An earlier budget of the same test: it aimed at `labels`, and `read` were when it ended, whole blocks."""

    labels: int
    read: int


@dataclass(frozen=True)
class Aim:
    """1/`level` is to be reached within `labels`, after the labels of the budgets `before`."""

    level: float
    labels: int
    before: tuple[Budget, ...] = ()

    def parts(self, outcomes: int) -> Iterator[tuple[slice, int]]:
        """The outcomes of each budget, and the labels that it aims at."""
        begun = 0
        for budget in (*self.before, Budget(self.labels, outcomes)):
            end = min(outcomes, begun + budget.read)
            yield slice(begun, end), budget.labels
            begun = end

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
    capital, found = 1.0, [np.empty(0)]
    for part, labels in aim.parts(whole):
        if part.start == part.stop:
            continue
        left = Aim(level_left(aim.level, capital), labels)
        mixture = e_process(x[part], null=null)[block - 1 :: block]
        aimed = aimed_capital(x[part], aim=left, null=null, block=block)
        evidence = AIMED * aimed + (1 - AIMED) * mixture
        found.append(np.minimum(capital * evidence, LARGEST))
        capital = float(found[-1][-1])
    return np.concatenate(found)


def level_left(level: float, capital: float) -> float:
    """The level that is left to reach at this `capital`; just below 1 where 1/level is reached."""
    return min(max(level * capital, 1e-300), 1 - 1e-9)


def aimed_capital(x: FloatArray, *, aim: Aim, null: float, block: int) -> FloatArray:
    """Capital [blocks] of the part that is bet towards the aim, from 1."""
    pays = x.reshape(-1, block) / null - 1.0
    capital, squares, found = 1.0, 1.0, []
    for index, paid in enumerate(pays):
        done = index * block
        fraction = _fraction(capital * AIMED * aim.level, squares / (done + 1), aim.labels - done)
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
