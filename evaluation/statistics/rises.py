"""Whether a rate rose after a change, looked at as often as one likes.

Votes are 1 (bad) or 0, one of each person, in an order that does not depend on them. The k-th vote after
the change is paired with the k-th before it; (after - before + 1) / 2 has a mean of at most
(1 + least) / 2 while the rate rose by at most `least`, and the bets of `evaluation.statistics.betting`
are against that, aimed at as many pairs as there are votes before, which are all in by then. Pairs end
where the shorter side does. Where the same people vote on both sides, their two votes are alike and fall
into different pairs: that makes the sum vary less than bets on independent votes allow for, not more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.intervals import independent_difference, wilson_interval

__all__ = ["LEAST_RISE", "RateRise", "rate_rise"]

# A rise by less is no alarm, however many votes show it: so much a few users can do who always say down.
LEAST_RISE = 0.04


@dataclass(frozen=True)
class RateRise:
    """The two rates and their difference with 95 % intervals, of all votes; `evidence` is the largest
    e-value that the `pairs` ever reached, and `crossed` the number of pairs at which it was first
    1/level or more, None where it never was."""

    after: Interval
    before: Interval
    difference: Interval
    pairs: int
    evidence: float
    crossed: int | None


def rate_rise(
    after: Sequence[bool], before: Sequence[bool], *, least: float, level: float
) -> RateRise | None:
    """Evidence that the rate of `after` exceeds that of `before` by more than `least`; None without votes
    on both sides. With a rise of at most `least`, `crossed` is ever set with probability `level` at most.
    """
    if not 0 <= least < 1 or not 0 < level < 1:
        raise ValueError(f"a rise of {least!r} cannot be tested at the level {level!r}.")
    pairs = min(len(after), len(before))
    if not pairs:
        return None
    later, earlier = (np.asarray(votes[:pairs], dtype=np.float64) for votes in (after, before))
    evidence = hedged_e_process(
        (later - earlier + 1) / 2, aim=Aim(level, len(before)), null=(1 + least) / 2
    )
    reached = np.flatnonzero(evidence >= 1 / level)
    rates = [wilson_interval(sum(votes), len(votes)) for votes in (after, before)]
    return RateRise(
        rates[0],
        rates[1],
        independent_difference(rates[0], rates[1]),
        pairs,
        float(evidence.max()),
        int(reached[0]) + 1 if len(reached) else None,
    )
