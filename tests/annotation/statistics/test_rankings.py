"""Agreement of orders, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from annotation.statistics.rankings import concordance_estimate, kendall_w, same_order_estimate


def levels(*rows):
    return np.array(rows, dtype=np.int64)


def test_kendalls_w_by_hand():
    assert kendall_w(levels([1, 2, 3], [1, 2, 3], [1, 2, 3])) == pytest.approx(1)
    # rank sums 4, 4, 4: nothing in common
    assert kendall_w(levels([1, 2, 3], [3, 2, 1])) == pytest.approx(0)
    # rank sums 3, 3, 6 of two people: S = 6, 12 * 6 / (4 * 24) = 0.75
    assert kendall_w(levels([1, 2, 3], [2, 1, 3])) == pytest.approx(0.75)


def test_ties_are_averaged_and_allowed_for():
    # ranks 1.5, 1.5, 3 and 1, 2, 3: sums 2.5, 3.5, 6; S = 6.5; T = 6; 12 * 6.5 / (4 * 24 - 2 * 6) = 78 / 84
    assert kendall_w(levels([1, 1, 2], [1, 2, 3])) == pytest.approx(78 / 84)
    assert np.isnan(kendall_w(levels([1, 1, 1], [1, 1, 1])))


def test_the_estimate_is_the_mean_rank_correlation_of_two_people():
    rng = np.random.default_rng(3)
    groups = [np.array([rng.permutation(5) + 1 for _ in range(2)]) for _ in range(40)]
    expected = np.mean([spearmanr(*group).statistic for group in groups])
    found = concordance_estimate(groups)
    assert found is not None
    assert found.value == pytest.approx(expected)
    assert found.low < 0 < found.high  # what chance gives
    assert found.n == 40


def test_the_share_of_pairs_that_both_put_the_same_way_round():
    # 1-2 differ, 1-3 and 2-3 the same; in the second group one person ties 1-2, which leaves two of two
    found = same_order_estimate([levels([1, 2, 3], [2, 1, 3]), levels([1, 1, 2], [1, 2, 3])])
    assert found is not None
    assert found.value == pytest.approx(4 / 5)


def test_too_little_tells_nothing():
    assert concordance_estimate([levels([1, 2, 3], [1, 2, 3])]) is None
    assert concordance_estimate([]) is None
    assert same_order_estimate([levels([1, 1, 1], [1, 2, 3])] * 3) is None
