"""A rise is found however often one looks, and none is found where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.statistics.rises import rate_rise


def votes(rng: np.random.Generator, share: float, count: int) -> list[bool]:
    return [bool(vote) for vote in rng.random(count) < share]


def test_nothing_is_compared_with_nothing() -> None:
    assert rate_rise([], [True], least=0.0, level=0.01) is None
    assert rate_rise([True], [], least=0.0, level=0.01) is None


@pytest.mark.parametrize(("least", "level"), [(-0.1, 0.01), (1.0, 0.01), (0.0, 0.0), (0.0, 1.0)])
def test_a_test_that_cannot_be_is_refused(least, level) -> None:
    with pytest.raises(ValueError, match="cannot be tested"):
        rate_rise([True], [False], least=least, level=level)


def test_the_rates_are_of_all_votes_and_the_pairs_of_the_shorter_side() -> None:
    found = rate_rise([True] * 30 + [False] * 70, [True] * 10 + [False] * 40, least=0, level=0.01)
    assert found is not None
    assert (found.after.estimate, found.before.estimate, found.pairs) == (0.3, 0.2, 50)
    assert found.difference.estimate == pytest.approx(0.1)
    assert (found.after.n, found.before.n) == (100, 50)


def test_the_order_of_looks_is_that_of_votes() -> None:
    """What crossed once stays crossed, at the same pair, whatever comes later."""
    worse = rate_rise([True] * 60, [False] * 200, least=0.0, level=0.01)
    assert worse is not None
    assert worse.crossed is not None
    later = rate_rise([True] * 60 + [False] * 140, [False] * 200, least=0.0, level=0.01)
    assert later is not None
    assert later.crossed == worse.crossed
    assert later.evidence == worse.evidence >= 100
    one_less = rate_rise([True] * (worse.crossed - 1), [False] * 200, least=0.0, level=0.01)
    assert one_less is not None
    assert one_less.crossed is None


def test_at_the_largest_rise_that_is_none_it_is_rarely_raised() -> None:
    rng = np.random.default_rng(0)
    raised = 0
    for _ in range(300):
        found = rate_rise(votes(rng, 0.24, 400), votes(rng, 0.2, 400), least=0.04, level=0.05)
        raised += found is not None and found.crossed is not None
    assert raised <= 0.05 * 300 + 2 * np.sqrt(300 * 0.05 * 0.95)


def test_tempers_that_stay_with_their_users_raise_no_more() -> None:
    """The same people on both sides, each with a chance of their own, in the same order."""
    rng = np.random.default_rng(1)
    raised = 0
    for _ in range(300):
        chances = rng.beta(0.3, 1.2, 400)
        before, after = (rng.random(400) < chances, rng.random(400) < chances)
        order = rng.permutation(400)
        found = rate_rise(after[order].tolist(), before.tolist(), least=0.0, level=0.05)
        raised += found is not None and found.crossed is not None
    assert raised <= 0.05 * 300 + 2 * np.sqrt(300 * 0.05 * 0.95)


def test_a_large_rise_is_raised() -> None:
    rng = np.random.default_rng(2)
    found = rate_rise(votes(rng, 0.5, 400), votes(rng, 0.2, 400), least=0.04, level=0.01)
    assert found is not None
    assert found.crossed is not None
    assert found.crossed < 200
