"""Who is right how often, where no truth is known: Dawid and Skene's model, by the side an answer stood on.

Dawid and Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm". One
share of right answers a person (the one-coin model) cannot tell a person who always says "first" from one
who is right as often as the first answer is better. Here each person has shares of their own for every
case: which answer is better, and which of the two stood first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .estimates import FloatArray, Gauged, IntArray, wilson_bounds

FIRST, TIE, SECOND = 0, 1, 2  # an answer in slot order
CASES, ANSWERS = 4, 3
PRIOR = 4.0  # votes' worth of everybody's habits that each person starts from, in each case
STEPS, CLOSE = 200, 1e-6


@dataclass(frozen=True)
class ReliabilityFit:
    """`second` [items]: the probability that the second slot is better. `by_rater`: one figure a person.

    A person's figure is the mean of how often they are right when the one side is the better and when the
    other is (a tie counts half), once for the sides as shown and once for the slots, and the lesser of the
    two: always saying "left", or always "slot 1", gives about 1/2 however often that is right.
    """

    second: FloatArray
    by_rater: tuple[Gauged | None, ...]


def reliability_fit(
    items: IntArray, raters: IntArray, answers: IntArray, flipped: IntArray
) -> ReliabilityFit:
    """Fit votes, each [n]: codes of item and rater from 0, the answer in slot order, and whether slot 2
    stood first.

    EM from the majority. M: theta[r, case, answer] = (N + PRIOR mu) / (sum N + PRIOR), N the expected
    counts, mu the shares of right, tied and wrong over all people. E: log P(second) / P(first) of an item
    is the sum of log theta ratios of its votes and of the share of items whose second slot is better.
    """
    second = _majority(items, answers)
    for _ in range(STEPS):
        counts = _expected(second, items, raters, answers, flipped)
        moved = _posterior(_theta(counts), second.mean(), items, raters, answers, flipped)
        change, second = float(np.abs(moved - second).max(initial=0.0)), moved
        if change < CLOSE:
            break
    counts = _expected(second, items, raters, answers, flipped)
    return ReliabilityFit(second, tuple(_reliabilities(counts)))


def _majority(items: IntArray, answers: IntArray) -> FloatArray:
    votes = np.bincount(items, minlength=items.max(initial=-1) + 1)
    return np.bincount(items, weights=answers / 2, minlength=len(votes)) / np.maximum(votes, 1)


def _expected(
    second: FloatArray, items: IntArray, raters: IntArray, answers: IntArray, flipped: IntArray
) -> FloatArray:
    """[raters, better (slot 1, slot 2), flipped, answers]: expected counts."""
    people = raters.max(initial=-1) + 1
    cell = (raters * 2 + flipped) * ANSWERS + answers
    shape = (people, 2, ANSWERS)
    size = people * 2 * ANSWERS
    found = [
        np.bincount(cell, weights=weight[items], minlength=size).reshape(shape)
        for weight in (1 - second, second)
    ]
    return np.stack(found, axis=1)


def _theta(counts: FloatArray) -> FloatArray:
    """[raters, better, flipped, answers]: shares, drawn towards everybody's."""
    everybody = counts.sum((0, 2)) + 1.0
    right = everybody[0, FIRST] + everybody[1, SECOND]
    wrong = everybody[0, SECOND] + everybody[1, FIRST]
    usual = np.array([right, everybody[:, TIE].sum(), wrong]) / everybody.sum()
    mu = np.stack([usual, usual[::-1]])[None, :, None, :]
    return np.asarray((counts + PRIOR * mu) / (counts.sum(3, keepdims=True) + PRIOR))


def _posterior(
    theta: FloatArray,
    share: float,
    items: IntArray,
    raters: IntArray,
    answers: IntArray,
    flipped: IntArray,
) -> FloatArray:
    told = np.log(theta[:, 1] / theta[:, 0])[raters, flipped, answers]
    share = min(max(share, 0.01), 0.99)
    odds = np.bincount(items, weights=told) + np.log(share / (1 - share))
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))))


def _reliabilities(counts: FloatArray) -> list[Gauged | None]:
    """The lesser of both views for each person, with an interval as if the fitted truths were known."""
    right = np.stack([counts[:, 0, :, FIRST], counts[:, 1, :, SECOND]], axis=1)
    right += counts[..., TIE] / 2
    asked = counts.sum(3)  # [raters, better, flipped]
    as_shown = np.arange(2)[:, None] ^ np.arange(2)[None, :]  # 0: the better one stood first
    views = [(right.sum(2), asked.sum(2)), (_sides(right, as_shown), _sides(asked, as_shown))]
    usual = float(right.sum() / max(asked.sum(), 1.0))
    return [
        min(
            (_balanced(hits[person], n[person], usual) for hits, n in views),
            key=lambda found: found.value,
        )
        if asked[person].sum()
        else None
        for person in range(len(counts))
    ]


def _sides(values: FloatArray, side: IntArray) -> FloatArray:
    """[raters, side]: cells [better, flipped] added up by the side on which the better one stood."""
    return np.stack([(values * (side == each)).sum((1, 2)) for each in (0, 1)], axis=1)


def _balanced(hits: FloatArray, asked: FloatArray, usual: float) -> Gauged:
    """The mean of two shares, each smoothed by one vote like everybody's; Wilson's bounds of the two
    joined as Newcombe joins those of a difference."""
    shares = (hits + usual) / (asked + 1)
    bounds = np.array(
        [wilson_bounds(float(p), float(n)) for p, n in zip(shares, asked + 1, strict=True)]
    )
    down, up = np.linalg.norm(bounds - shares[:, None], axis=0) / 2
    value = float(shares.mean())
    return Gauged(value, value - float(down), value + float(up), round(asked.sum()))
