import math

import numpy as np
import pytest
from scipy.special import expit

from evaluation.statistics.calibration import (
    _orders_drawn,
    ece_null_quantile,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability_bins,
)


def test_ece_is_worked_out_by_hand():
    p, y = np.array([0.15, 0.19, 0.95, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    # bin 1: mean y .5, mean p .17; bin 9: mean y 1, mean p .975; each holds half
    assert expected_calibration_error(p, y) == pytest.approx(0.5 * 0.33 + 0.5 * 0.025)


def test_reliability_bins_say_what_was_said_and_what_was_so():
    first, last = reliability_bins(np.array([0.15, 0.19, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert (first.low, first.high, first.count) == (0.1, 0.2, 2)
    assert [first.predicted, first.observed] == pytest.approx([0.17, 0.5])
    assert (last.high, last.count) == (1.0, 1)


def test_a_perfect_model_of_500_pairs_has_the_known_ece():
    p = np.random.default_rng(2).random(500)
    assert ece_null_quantile(p, seed=1, quantile=0.5) == pytest.approx(0.045, abs=0.008)
    assert ece_null_quantile(p, seed=1) == pytest.approx(0.066, abs=0.008)


def test_log_loss_is_stable_and_exact():
    expected = -(math.log(0.8) + 0.5 * math.log(0.3) + 0.5 * math.log(0.7)) / 2
    logits = np.log([0.8 / 0.2, 0.3 / 0.7])
    assert log_loss(logits, np.array([1.0, 0.5])) == pytest.approx(expected)
    assert log_loss(np.array([-2000.0]), np.array([1.0])) == pytest.approx(2000.0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_is_recovered(temperature):
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 1.5, 20_000)
    outcomes = (rng.random(20_000) < expit(truth)).astype(float)
    assert fit_temperature(truth * temperature, outcomes) == pytest.approx(temperature, rel=0.06)


def test_noise_sends_the_temperature_to_its_limit():
    logits = np.array([3.0, 3.0, -3.0, -3.0])
    assert fit_temperature(logits, np.array([1.0, 0.0, 1.0, 0.0])) == pytest.approx(20, rel=0.01)


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="sigmoid"):
        expected_calibration_error(np.array([1.3]), np.array([1.0]))
    with pytest.raises(ValueError, match="both must match"):
        log_loss(np.array([1.3]), np.array([1.0, 0.0]))


THREE = np.array([[0, 1], [0, 2], [1, 2]])  # the pairs of one ranking of three answers


def test_chance_draws_the_pairs_of_one_ranking_together():
    """Three answers that are alike: of the six orders two are won or lost in all three pairs, which gives an ECE of
    1/2, and four by two or by one pair, which gives 1/6. So the 70 % quantile is 1/2; three independent pairs
    would be all alike in a quarter of the draws, and their 70 % quantile is 1/6."""
    alike = np.full(3, 0.5)
    together = ece_null_quantile(alike, seed=1, quantile=0.7, answers=THREE)
    assert together == pytest.approx(0.5)
    assert ece_null_quantile(alike, seed=1, quantile=0.7) == pytest.approx(1 / 6)
    below = ece_null_quantile(alike, seed=1, quantile=0.6, answers=THREE)
    assert below == pytest.approx(1 / 6)


def test_whole_orders_come_as_plackett_and_luce_say_and_pairs_with_their_probability():
    """Strengths 3, 2 and 1: the order as numbered has 3/6 * 2/3 = 1/3, the first two pairs 3/5 and 3/4."""
    strengths = np.array([3.0, 2.0, 1.0])
    probabilities = strengths[THREE[:, 0]] / strengths[THREE].sum(1)
    draws = _orders_drawn(np.random.default_rng(5), probabilities, THREE, 60_000)
    assert draws.mean(0) == pytest.approx([3 / 5, 3 / 4, 2 / 3], abs=0.008)
    assert (draws == 1).all(1).mean() == pytest.approx(1 / 3, abs=0.008)
    circle = draws[:, 0] + draws[:, 2] - draws[:, 1]  # first over second over third over first
    assert not (circle == 2).any()
    assert not (circle == -1).any()


def test_pairs_of_their_own_have_the_chance_that_they_had():
    p = np.random.default_rng(2).random(500)
    own = np.arange(1000).reshape(500, 2)
    assert ece_null_quantile(p, seed=1, answers=own) == pytest.approx(0.066, abs=0.008)
