"""Intervals of shares, against published figures and an independent formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from annotation.statistics.estimates import (
    multinomial_weights,
    share_estimate,
    share_over_people,
    shares_differ,
)
from tests.support.given import given


def test_wilson_is_scipy_s():
    for hits, n in ((0, 10), (7, 10), (81, 263), (10, 10)):
        found = share_estimate(hits, n)
        expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
        assert found is not None
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_nothing_asked_is_no_share():
    assert share_estimate(0, 0) is None
    assert share_over_people(np.zeros(3), np.zeros(3)) is None


def test_newcombe_s_example():
    """Newcombe (1998), table II, 56/70 - 48/80 by method 10: 0.0524 to 0.3339."""
    found = shares_differ(given(share_estimate(48, 80)), given(share_estimate(56, 70)))
    assert found == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_few_people_get_the_interval_of_single_answers():
    assert share_over_people(np.array([3.0, 5.0]), np.array([10.0, 10.0])) == share_estimate(8, 20)


def test_many_people_who_differ_get_a_wider_one():
    hits, asked = np.array([100.0, 0.0] * 5), np.full(10, 100.0)
    found, plain = share_over_people(hits, asked), share_estimate(500, 1000)
    assert found is not None
    assert plain is not None
    assert found.value == plain.value == 0.5
    # the mean of ten draws of 0 or 1: from 0.2 to 0.8
    assert (found.low, found.high) == pytest.approx((0.2, 0.8), abs=0.01)
    assert plain.high - plain.low < 0.07


def test_people_drawn_again_are_as_often_the_same_one_as_a_multinomial_says():
    drawn = multinomial_weights(np.ones(40), seed=3, resamples=5000)
    assert drawn.shape == (5000, 40)
    assert (drawn.sum(axis=1) == 40).all()
    assert drawn.mean(axis=0) == pytest.approx(1.0, abs=0.08)
    assert drawn.var() == pytest.approx(39 / 40, rel=0.02)
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(-1 / 39, abs=0.05)
    again = multinomial_weights(np.ones(40), seed=3, resamples=5000)
    assert (again == drawn).all()
    kinds = multinomial_weights(np.array([30.0, 10.0]), seed=3, resamples=5000)
    assert kinds[:, 0].mean() == pytest.approx(30, abs=0.2)
