"""Whether a rate is higher on one of two sides that run at the same time, looked at as often as one likes.

Votes are 1 (bad) or 0, one of each person, who is put on a side by a draw that nobody knows; they come in days.
Within a day both sides' votes are dealt, in an order that does not depend on them, into as many blocks as the
smaller side has votes, and the k-th blocks are paired: x = (new - old + 1) / 2 of their means has the mean
(1 + rise) / 2, whatever the day was like for everybody. Bets against "the mean is at most (1 + least) / 2" show
the new side worse by more than `least`; bets of 1 - x against "at most (1 - margin) / 2" show it worse by less
than `margin`. What a day has on one side only is left out. All bets are those of `evaluation.statistics.betting`,
aimed at `PLANNED` pairs, a number that is fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.intervals import independent_difference, wilson_interval

__all__ = ["PLANNED", "SideBySide", "side_by_side"]

PLANNED = 300

Day = tuple[Sequence[bool], Sequence[bool]]  # (new, old)


@dataclass(frozen=True)
class SideBySide:
    """The two rates and their difference with 95 % intervals, of all votes of the days with both sides.

    `worse` and `not_worse` are the largest e-values that the `pairs` ever reached, against "the rate is higher
    by `least` at most" and against "it is higher by `margin` or more".
    """

    new: Interval
    old: Interval
    difference: Interval
    pairs: int
    worse: float
    not_worse: float


def side_by_side(
    days: Sequence[Day], *, least: float, margin: float, level: float
) -> SideBySide | None:
    """None without a day that has votes on both sides. Where a hypothesis holds, the e-value against it ever
    reaches 1/level with probability `level` at most."""
    if not 0 <= least < margin < 1:
        raise ValueError(f"a rise of {least!r} and a margin of {margin!r} leave nothing between.")
    both = [day for day in days if day[0] and day[1]]
    if not both:
        return None
    x = np.clip([pair for day in both for pair in _pairs(*day)], 0.0, 1.0)
    aim = Aim(level, PLANNED)
    worse = hedged_e_process(x, aim=aim, null=(1 + least) / 2)
    not_worse = hedged_e_process(1 - x, aim=aim, null=(1 - margin) / 2)
    new, old = (
        wilson_interval(sum(sum(day[side]) for day in both), sum(len(day[side]) for day in both))
        for side in (0, 1)
    )
    return SideBySide(
        new,
        old,
        independent_difference(new, old),
        len(x),
        float(worse.max()),
        float(not_worse.max()),
    )


def _pairs(new: Sequence[bool], old: Sequence[bool]) -> Iterator[float]:
    """(new - old + 1) / 2 of the k-th blocks of a day."""
    blocks = min(len(new), len(old))
    for k in range(blocks):
        yield (float(np.mean(new[k::blocks])) - float(np.mean(old[k::blocks])) + 1) / 2
