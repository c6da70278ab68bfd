import math

import numpy as np
import pytest
from scipy.special import expit

from evaluation.statistics.calibration import (
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
