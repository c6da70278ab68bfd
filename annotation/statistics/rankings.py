"""How far people agree who put the same answers in order.

A group is what several people said of one set of K answers: levels [raters, K], 1 the best, equal ones a tie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .estimates import FloatArray, Gauged, IntArray, interval_of, multinomial_weights


def kendall_w(levels: IntArray) -> float:
    """Kendall's coefficient of concordance of m orders of K answers, with ties (Kendall and Gibbons 1990,
    chapter 6): W = 12 S / (m^2 (K^3 - K) - m sum T), ranks of ties averaged, T = sum (t^3 - t) over the ties of
    each order, S the squared deviations of the K rank sums. NaN where everybody tied everything.
    """
    raters, answers = levels.shape
    sums = np.array([_mean_ranks(row) for row in levels]).sum(0)
    spread = float(((sums - sums.mean()) ** 2).sum())
    ties = sum(int((np.bincount(row) ** 3 - np.bincount(row)).sum()) for row in levels)
    largest = raters**2 * (answers**3 - answers) - raters * ties
    return 12 * spread / largest if largest else float("nan")


def _mean_ranks(levels: IntArray) -> FloatArray:
    """Ranks from 1; those of one level have the mean of theirs."""
    _, place, times = np.unique(levels, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(times) - (times - 1) / 2)[place])


def concordance_estimate(groups: Sequence[IntArray], *, seed: int = 0) -> Gauged | None:
    """(m W - 1) / (m - 1), averaged over the groups of two people or more: 1 is the same order, 0 what chance
    gives, whatever m is, where W itself is 1 / m by chance. Without ties it is the mean rank correlation
    (Spearman) of all two people. The interval draws groups again; None with fewer than two groups.
    """
    found = []
    for group in groups:
        raters = len(group)
        if raters > 1:
            found.append((raters * kendall_w(group) - 1) / (raters - 1))
    known = np.array([value for value in found if np.isfinite(value)], dtype=np.float64)
    return _mean_estimate(known, np.ones(len(known)), seed)


def same_order_estimate(groups: Sequence[IntArray], *, seed: int = 0) -> Gauged | None:
    """Of every two people and every two answers of a group that neither of them tied, the share that both put
    the same way round. The interval draws groups again; None with fewer than two groups that have such."""
    counts = [_same_way(group) for group in groups if len(group) > 1]
    same, asked = np.array([c for c in counts if c[1]], dtype=np.float64).reshape(-1, 2).T
    return _mean_estimate(same, asked, seed)


def _same_way(group: IntArray) -> tuple[int, int]:
    first, second = np.triu_indices(group.shape[1], 1)
    ways = np.sign(group[:, first] - group[:, second])  # [raters, pairs of answers]
    one, two = np.triu_indices(len(group), 1)
    products = ways[one] * ways[two]
    return int((products > 0).sum()), int((products != 0).sum())


def _mean_estimate(hits: FloatArray, asked: FloatArray, seed: int) -> Gauged | None:
    """sum(hits) / sum(asked), both by group."""
    if len(asked) < 2:
        return None
    drawn = multinomial_weights(np.ones(len(asked)), seed=seed)
    draws = (drawn @ hits) / (drawn @ asked)
    return interval_of(float(hits.sum() / asked.sum()), draws, n=len(asked))
