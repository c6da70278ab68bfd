"""Two sides at the same time: what is paired, and how often nothing is called something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from evaluation.statistics.concurrent import SideBySide, side_by_side
from evaluation.statistics.rises import LEAST_RISE

BAR = 100


def compared(days: Sequence[Any], **how: Any) -> SideBySide:
    found = side_by_side(days, **{"least": LEAST_RISE, "margin": 0.1, "level": 1 / BAR, **how})
    assert found is not None
    return found


def world(
    rng: np.random.Generator, *, new: float, old: float, users: int = 40, days: int = 10, share: int = 25
) -> list[Any]:  # fmt: skip
    """So many users a day who vote, on days that are good or bad for everybody by up to ten points."""
    found = []
    for _ in range(days):
        day = rng.uniform(-0.1, 0.1)
        taken = rng.random(users) * 100 < share
        down = rng.random(users) < np.where(taken, new, old) + day
        found.append((down[taken].tolist(), down[~taken].tolist()))
    return found


def test_votes_are_paired_within_a_day_and_dealt_into_as_many_blocks_as_the_smaller_side_has() -> (
    None
):
    found = compared([([True], [False, True]), ([], [True, True]), ([False, True], [False])])
    # day 1: 1 - 1/2; day 3: 1/2 - 0; day 2 has one side only
    assert found.pairs == 2
    assert (found.new.n, found.old.n) == (3, 3)
    assert found.new.estimate == pytest.approx(2 / 3)
    assert found.difference.estimate == pytest.approx(1 / 3)


def test_without_a_day_that_has_both_there_is_nothing_to_compare() -> None:
    assert side_by_side([([True], []), ([], [True])], least=0.04, margin=0.1, level=0.01) is None
    with pytest.raises(ValueError, match="leave nothing between"):
        side_by_side([], least=0.1, margin=0.1, level=0.01)


def test_one_bad_day_for_everybody_is_no_evidence() -> None:
    """Before and after would call this a rise: the new side has most of its votes on the bad day."""
    good, bad = ([False] * 5, [False] * 100), ([True] * 100, [True] * 5)
    found = compared([good, bad])
    assert found.worse < 2
    assert found.difference.estimate > 0.8


def test_nothing_is_called_worse_at_the_level_that_is_promised() -> None:
    """200 canaries that are as good, and 200 that are worse by just what is allowed, looked at on every day."""
    rng = np.random.default_rng(20_260_101)
    for rise in (0.0, LEAST_RISE):
        worlds = [compared(world(rng, new=0.3 + rise, old=0.3)) for _ in range(200)]
        # of 200 at 1 in 100, seven or more come with probability .005
        assert sum(found.worse >= BAR for found in worlds) <= 6


def test_what_is_worse_by_the_margin_is_seldom_called_not_worse() -> None:
    rng = np.random.default_rng(20_260_102)
    worlds = [compared(world(rng, new=0.4, old=0.3)) for _ in range(200)]
    assert sum(found.not_worse >= BAR for found in worlds) <= 6


def test_much_worse_is_found_and_as_good_is_shown() -> None:
    rng = np.random.default_rng(20_260_103)
    worse = [compared(world(rng, new=0.55, old=0.3, days=24, users=60)) for _ in range(20)]
    assert sum(found.worse >= BAR for found in worse) >= 18
    better = [compared(world(rng, new=0.2, old=0.3, days=24, users=60)) for _ in range(20)]
    assert sum(found.not_worse >= BAR for found in better) >= 16


def test_two_users_in_a_hundred_who_say_down_to_the_canary_alone_do_not_steer() -> None:
    """They tell the versions apart, give a thumb where others do in 30 % of cases, and lie on both sides."""
    rng = np.random.default_rng(20_260_104)
    raised = 0
    for _ in range(100):
        taken = rng.random(2_000) < 0.25
        manipulates = rng.random(2_000) < 0.02
        votes = manipulates | (rng.random(2_000) < 0.3)
        down = np.where(manipulates, taken, rng.random(2_000) < 0.3)
        day = rng.integers(14, size=2_000)
        days = [
            (
                down[votes & taken & (day == d)].tolist(),
                down[votes & ~taken & (day == d)].tolist(),
            )
            for d in range(14)
        ]
        raised += compared(days).worse >= BAR
    assert raised <= 4
