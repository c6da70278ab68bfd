import numpy as np
import pytest

from evaluation.statistics.length import (
    gain_at_equal_length,
    length_free_share,
    median_ratio_interval,
)

RNG = np.random.default_rng(0)
LONGER = RNG.normal(4, 3, 500)


def test_a_gain_that_is_all_length_leaves_nothing():
    gains = np.tanh(LONGER / np.sqrt((LONGER**2).mean()))
    assert gain_at_equal_length(gains, LONGER) == pytest.approx(0, abs=1e-12)


def test_a_gain_that_does_not_depend_on_length_is_all_left():
    gains = 0.7 + RNG.normal(0, 0.2, 500)
    found = length_free_share(gains, LONGER, range(500), seed=0, resamples=300)
    assert found is not None
    assert found.low < 1 < found.high


def test_without_differences_in_length_the_gain_stays():
    assert gain_at_equal_length(np.array([1.0, 2.0]), np.zeros(2)) == 1.5
    assert gain_at_equal_length(np.array([1.0, 2.0]), np.full(2, 3.0)) == 1.5


def test_draws_without_any_gain_have_no_share_and_are_left_out():
    gains = np.array([-9.0, *[1.0] * 39])  # nothing is left where the one is drawn four times
    found = length_free_share(gains, np.zeros(40), range(40), seed=0)
    assert found is not None
    assert (found.low, found.estimate, found.high) == (1.0, 1.0, 1.0)


def test_no_gain_has_no_share():
    assert length_free_share(np.full(9, -1.0), np.ones(9), range(9), seed=0) is None
    assert length_free_share(np.zeros(9), np.zeros(9), range(9), seed=0) is None


def test_median_ratio_of_equal_lengths_is_exactly_one():
    lengths = RNG.integers(1, 40, 60).astype(float)
    same = median_ratio_interval(lengths, lengths, range(60), seed=1, resamples=200)
    assert (same.low, same.estimate, same.high) == (1.0, 1.0, 1.0)
    double = median_ratio_interval(lengths * 2, lengths, range(60), seed=1, resamples=200)
    assert double.estimate == pytest.approx(2.0)
