import math

import pytest
import torch

from tests.training.core.reward.independent import rao_kupper_by_strengths
from training.core.reward.calibration import (
    accuracy,
    longer_is_better,
    negative_log_likelihood,
    temperature_fit,
    wilson_interval,
)
from training.core.reward.ties import TieModel, outcome_log_probs


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_wilson_interval_by_hand():
    # 8 of 10 (Wilson 1927): centre (0.8 + 3.8415/20) / 1.38415, half width 0.2269...
    low, high = wilson_interval(8, 10)
    assert [low, high] == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert wilson_interval(0, 5)[0] == 0.0


def test_accuracy_leaves_ties_out_and_halves_equal_scores():
    result = accuracy(t(1, -1, 2, 0, 5), t(1, 1, 0.5, 0, 0.8))
    assert result.pairs == 4
    assert result.accuracy == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert accuracy(t(1), t(0.5)).accuracy is None


def test_likelihood_by_hand():
    d = math.log(3)
    assert negative_log_likelihood(t(d, d), t(1, 0)) == pytest.approx(
        (math.log(4 / 3) + math.log(4)) / 2
    )
    assert negative_log_likelihood(t(2 * d), t(1), 2.0) == pytest.approx(math.log(4 / 3))
    assert negative_log_likelihood(t(), t()) is None


def test_temperature_makes_the_mean_probability_right():
    # every pair has d = 2 and three of four are right: the best probability is 3/4, so 2/T = ln 3
    temperature = temperature_fit(t(2, 2, 2, 2), t(1, 1, 1, 0), torch.ones(4))
    assert temperature == pytest.approx(2 / math.log(3), rel=1e-4)
    weighted = temperature_fit(t(2, 2), t(1, 0), t(3, 1))
    assert weighted == pytest.approx(temperature, rel=1e-4)
    assert temperature_fit(t(), t(), t()) == 1.0


def test_direction_of_the_length_baseline_is_learned():
    assert longer_is_better(t(5, -3, 2), t(1, 0, 0))
    assert not longer_is_better(t(5, -3, 2), t(0, 1, 1))


@pytest.mark.parametrize("kind", ["rao_kupper", "davidson"])
def test_temperature_of_a_tie_model_is_fitted_by_its_own_likelihood(kind):
    # Soft labels of exactly the outcomes at d / 2 are most likely at T = 2.
    difference = torch.linspace(-4, 4, 41, dtype=torch.float64)
    shares = outcome_log_probs(difference / 2, kind, t(0.6)).exp()
    preference = shares[:, 0] + shares[:, 1] / 2
    weight = torch.ones_like(preference)
    model = TieModel(kind, 0.6)
    found = temperature_fit(difference, preference, weight, tie_share=shares[:, 1], ties=model)
    assert found == pytest.approx(2.0, rel=1e-5)


def test_likelihood_of_a_tie_model_is_that_of_its_odds_of_winning():
    win, _, loss = rao_kupper_by_strengths(0.5, 0.0, 0.6)
    found = negative_log_likelihood(t(1.0), t(1.0), 2.0, TieModel("rao_kupper", 0.6))
    assert found == pytest.approx(-math.log(win / (win + loss)))


def test_pairs_of_one_ranking_are_no_independent_trials():
    """Four rankings of three answers, two of them right in all pairs and two in none: y = 1 six times, 0 six times,
    p = 1/2. Each ranking's residuals sum to 3/2, so V = 4/3 * 4 * 9/4 / 144 = 1/12 and p (1 - p) / V = 3 pairs."""
    difference = t(*[1.0] * 6, *[-1.0] * 6)
    rankings = [name for name in "abcd" for _ in range(3)]
    found = accuracy(difference, torch.ones(12), rankings)
    assert (found.accuracy, found.pairs) == (0.5, 12)
    assert (found.low, found.high) == pytest.approx(wilson_interval(1.5, 3))
    plain = accuracy(difference, torch.ones(12))
    assert (plain.low, plain.high) == pytest.approx(wilson_interval(6, 12))


def test_pairs_of_their_own_and_rankings_where_nothing_varies():
    difference = t(1, 1, 1, -1)
    own = accuracy(difference, torch.ones(4), ["", "", "", ""])
    assert own == accuracy(difference, torch.ones(4))
    right = accuracy(t(1, 1, 1, 1, 1), torch.ones(5), ["a", "a", "a", "", ""])
    assert (right.low, right.high) == pytest.approx(wilson_interval(3, 3))  # three that may differ
    one = accuracy(t(1, -1, 1), torch.ones(3), ["a", "a", "a"])
    assert (one.low, one.high) == pytest.approx(wilson_interval(2 / 3, 1))
    # where rankings differ inside alone they say no more than there are of them
    even = accuracy(t(1, -1, 1, -1), torch.ones(4), ["a", "a", "b", "b"])
    assert (even.low, even.high) == pytest.approx(wilson_interval(1, 2))


def test_a_tied_pair_of_a_ranking_is_left_out_with_its_ranking():
    found = accuracy(t(1, 1, -1), t(0.5, 1, 1), ["a", "b", "b"])
    assert (found.accuracy, found.pairs) == (0.5, 2)
    assert (found.low, found.high) == pytest.approx(wilson_interval(0.5, 1))
