import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.paired import paired_difference_interval, paired_spread


def test_the_interval_is_the_paired_t_interval():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(60), rng.random(60)
    found = paired_difference_interval(ours, theirs)
    low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == 60
    assert paired_spread(ours, theirs) == pytest.approx(np.std(ours - theirs, ddof=1))


@pytest.mark.parametrize("n", [10, 124, 450])
def test_items_that_agree_leave_the_room_of_tango_s_score_interval(n):
    # Tango (1998) at b = c = 0: |d| sqrt(n) = z sqrt(d (1 - d)), so d = z^2 / (n + z^2).
    same = np.ones(n)
    found = paired_difference_interval(same, same)
    z = stats.norm.ppf(0.975)
    d = found.high
    assert d * np.sqrt(n) == pytest.approx(z * np.sqrt(d * (1 - d)))
    assert (found.estimate, found.low) == (0.0, -found.high)


def test_the_bounds_stay_differences_of_rates():
    found = paired_difference_interval(np.ones(3), np.zeros(3))
    assert (found.estimate, found.high) == (1.0, 1.0)


def test_one_item_is_too_few():
    with pytest.raises(ValueError, match="at least 2 items, got 1"):
        paired_difference_interval(np.ones(1), np.ones(1))
