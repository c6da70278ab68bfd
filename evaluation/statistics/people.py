"""Evidence for people like those who judged: the same bets, counted by annotator.

Labels of one person resemble each other, so a panel that happens to favour the candidate says less
about other people than its number of labels suggests. Here the sum of outcomes is judged by the
spread between annotators: its cluster-robust t over G annotators (G - 1 degrees of freedom) becomes a
normal score z of equal tail probability, and the labels count as n / deff, with the design effect
deff = cluster variance / independent variance, at least 1. On that walk stand the two parts of
`evaluation.statistics.betting` in closed form: the option 2 Phi(-(q - s) / sqrt(1 - n/T)) / u with
u = AIMED level, s = z sqrt(n/T) and q = -inverse normal(u/2), and the mixture of exp(f S - f^2 n' / 2).

Outcomes may lie outside [0, 1], as those that a prediction was taken from do.

The bound is asymptotic (as in Waudby-Smith et al. 2024, "Time-uniform central limit theory and
asymptotic confidence sequences"): its error rate is measured, not proved.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from evaluation.statistics.betting import AIMED, Aim, level_left
from evaluation.statistics.intervals import FloatArray, cluster_codes
from evaluation.statistics.sequences import FRACTIONS, LARGEST

__all__ = ["people_confidence_sequence", "people_e_process", "people_variance"]

FEWEST = 2  # annotators between whom a spread can be seen
TYPICAL = 300  # labels at which the confidence sequence is about as narrow as it can be
EXPONENT = 690.0  # exp of more is beyond what JSON holds


@dataclass(frozen=True)
class _Walk:
    """The outcomes so far by annotator: `mean` with its cluster-robust error over `people`."""

    labels: int
    people: int
    mean: float
    error: float
    effective: float

    def score(self, null: float) -> float:
        """Normal score of the cluster t against the null."""
        tail = float(special.stdtr(self.people - 1, (null - self.mean) / self.error))
        return float(-special.ndtri(min(max(tail, 1e-300), 1 - 1e-16)))


def people_e_process(
    outcomes: Sequence[float] | FloatArray,
    people: Sequence[Hashable],
    *,
    aim: Aim,
    null: float = 0.5,
    block: int = 1,
) -> FloatArray:
    """Evidence against "people like these prefer the candidate in at most `null`", by whole blocks."""
    walks = list(_walks(outcomes, people, block))
    begun, found = _Begun(), list[float]()
    for part, labels in aim.parts(len(walks) * block):
        own, now = Aim(aim.level, labels), walks[part.start // block : part.stop // block]
        found += [_evidence(walk, own, null, begun) for walk in now]
        if now:
            begun = _begun_after(now[-1], found[-1], null)
    return np.array(found)


def people_confidence_sequence(
    outcomes: Sequence[float] | FloatArray,
    people: Sequence[Hashable],
    *,
    level: float = 0.95,
    block: int = 1,
) -> FloatArray:
    """Bounds [blocks, 2] of the mean over people like these, meant to hold at every look together.

    Robbins' normal mixture at the effective number of labels n': |z| <= sqrt((1 + 1/(n' r)) log((1 +
    n' r) / alpha^2)), its tail probability taken over to t with G - 1 degrees of freedom.
    """
    alpha = 1 - level
    spread = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / TYPICAL
    bounds: list[tuple[float, float]] = []
    for walk in _walks(outcomes, people, block):
        low, high = bounds[-1] if bounds else (0.0, 1.0)
        if walk.people >= FEWEST:
            size = walk.effective * spread
            z = math.sqrt((1 + 1 / size) * math.log((1 + size) / alpha**2))
            reach = -float(special.stdtrit(walk.people - 1, special.ndtr(-z))) * walk.error
            new = max(low, walk.mean - reach), min(high, walk.mean + reach)
            low, high = new if new[0] <= new[1] else (low, high)
        bounds.append((low, high))
    return np.array(bounds)


def people_variance(outcomes: FloatArray, people: Sequence[Hashable]) -> float:
    """The cluster-robust variance of the mean over all `outcomes`; 0 from fewer than two annotators."""
    (last,) = _walks(outcomes, people, len(outcomes))
    return last.error**2


def _walks(
    outcomes: Sequence[float] | FloatArray, people: Sequence[Hashable], block: int
) -> Iterator[_Walk]:
    x = np.asarray(outcomes, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError("evidence needs at least one outcome, and every outcome a number.")
    codes, count = cluster_codes(people)
    if len(codes) != len(x):
        raise ValueError(f"{len(x)} outcomes but {len(codes)} annotators.")
    sums, labels = np.zeros(count), np.zeros(count)
    squares = 0.0
    for start in range(0, len(x) // block * block, block):
        part = slice(start, start + block)
        np.add.at(sums, codes[part], x[part])
        np.add.at(labels, codes[part], 1.0)
        squares += float(x[part] @ x[part])
        yield _walk(sums, labels, squares)


def _walk(sums: FloatArray, labels: FloatArray, squares: float) -> _Walk:
    total, people = float(labels.sum()), int((labels > 0).sum())
    mean = float(sums.sum()) / total
    if people < FEWEST:
        return _Walk(int(total), people, mean, 0.0, 0.0)
    residuals = sums - labels * mean
    variance = people / (people - 1) * float(residuals @ residuals) / total**2
    # of independent labels, with one more of each kind: where all agree there is no spread to see
    independent = (squares + 1) / (total + 2) - ((mean * total + 1) / (total + 2)) ** 2
    independent /= total
    effect = max(1.0, variance / independent)
    return _Walk(int(total), people, mean, math.sqrt(variance or independent), total / effect)


@dataclass(frozen=True)
class _Begun:
    """Where a budget begins: after `labels`, at this score, with this evidence and worth of the mixture."""

    labels: int = 0
    score: float = 0.0
    capital: float = 1.0
    mixture: float = 1.0


def _begun_after(walk: _Walk, capital: float, null: float) -> _Begun:
    if walk.people < FEWEST:
        return _Begun(walk.labels)
    z = walk.score(null)
    return _Begun(walk.labels, z, max(capital, 1e-300), max(_mixture(walk, z), 1e-300))


def _evidence(walk: _Walk, aim: Aim, null: float, begun: _Begun) -> float:
    if walk.people < FEWEST:
        return 1.0
    z = walk.score(null)
    left = Aim(level_left(aim.level, begun.capital), aim.labels)
    mixture = _mixture(walk, z) / begun.mixture
    worth = AIMED * _option(z, walk.labels, left, begun) + (1 - AIMED) * mixture
    return min(LARGEST, begun.capital * worth)


def _mixture(walk: _Walk, z: float) -> float:
    exponents = FRACTIONS * z * math.sqrt(walk.effective) - FRACTIONS**2 * walk.effective / 2
    return float(np.exp(np.minimum(exponents, EXPONENT)).mean())


def _option(z: float, labels: int, aim: Aim, begun: _Begun) -> float:
    """Capital of the part that is aimed at 1/(AIMED level), from 1 where the budget begins."""
    done = (labels - begun.labels) / aim.labels
    level = AIMED * aim.level
    before = begun.score * math.sqrt(begun.labels / aim.labels)
    barrier = float(-special.ndtri(level / 2))
    reached = z * math.sqrt(labels / aim.labels) - before
    if reached >= barrier:
        return 1 / level
    if done >= 1:
        return 0.0
    return 2 * float(special.ndtr((reached - barrier) / math.sqrt(1 - done))) / level
