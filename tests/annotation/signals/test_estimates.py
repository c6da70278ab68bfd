"""Shares of thumbs down and the list of trouble: nobody weighs more than the cap, intervals are by users."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.signals.estimates import Thumbs, thumb_share, troubled


def test_nobody_s_thumbs_make_no_share() -> None:
    assert thumb_share([]) is None
    assert thumb_share([(0, 0)]) is None


def test_one_user_with_a_thousand_thumbs_weighs_three() -> None:
    honest = [(1, 0)] * 97
    found = thumb_share([*honest, (1000, 1000)])
    assert found is not None
    assert found.share == pytest.approx(3 / 100)
    same = thumb_share([*honest, (3, 3)])
    assert found == same


def test_single_thumbs_give_wilson_s_interval() -> None:
    found = thumb_share([(1, 1)] * 10 + [(1, 0)] * 90)
    assert found is not None
    # R: prop.test(10, 100, correct = FALSE)$conf.int
    assert (found.low, found.high) == pytest.approx((0.05522914, 0.17436566), abs=1e-5)


def test_the_interval_covers_where_users_differ() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        counts = random.integers(1, 12, size=80)
        downs = random.binomial(counts, random.beta(1, 4, size=80))  # mean 0.2
        found = thumb_share(zip(counts.tolist(), downs.tolist(), strict=True))
        assert found is not None
        covered += found.low <= 0.2 <= found.high
    assert covered >= 0.95 * 400


def thumbs(conversation: str, users: range, *, down: bool, given: int = 1) -> list[Thumbs]:
    return [Thumbs(conversation, f"u{i}", given, given if down else 0) for i in users]


CALM = thumbs("calm", range(100, 200), down=False)


def test_nobody_s_thumbs_make_no_list() -> None:
    assert troubled([]) == []


def test_what_stands_out_is_listed_by_its_lower_bound() -> None:
    rows = [
        *CALM,
        *thumbs("bad", range(10), down=True),
        *thumbs("worse", range(20, 60), down=True),
        *thumbs("mixed", range(60, 64), down=True),
        *thumbs("mixed", range(64, 100), down=False),
    ]
    assert [name for name, _ in troubled(rows)] == ["worse", "bad"]
    share = dict(troubled(rows))["bad"]
    # R: prop.test(10, 10, correct = FALSE)$conf.int
    assert (share.low, share.high, share.users) == pytest.approx((0.7224672, 1.0, 10), abs=1e-6)


def test_four_users_list_nothing_however_much_they_say() -> None:
    rows = thumbs("bad", range(4), down=True, given=1000)
    assert troubled([*CALM, *rows]) == []
    fifth = thumbs("bad", range(4, 5), down=True)
    assert [name for name, _ in troubled([*CALM, *rows, *fifth])] == ["bad"]


def test_who_speaks_about_everything_weighs_little_on_each() -> None:
    """Ten users on six conversations weigh three each: five on every one, which is just enough."""
    names = [f"c{i}" for i in range(6)]
    rows = [each for name in names for each in thumbs(name, range(10), down=True)]
    assert {name for name, _ in troubled([*CALM, *rows])} == set(names)
    assert troubled([*CALM, *rows, *thumbs("one more", range(10), down=True)]) == []
