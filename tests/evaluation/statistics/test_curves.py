import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from evaluation.statistics.curves import (
    first_difference_correlation,
    fit_gao_law,
    gao_law,
)


@pytest.mark.parametrize("law", ["rl", "best_of_n"])
def test_a_gao_law_and_its_optimum_are_recovered(law):
    kl = np.linspace(0.2, 40, 30)
    alpha, beta = (1.2, 0.6) if law == "rl" else (1.2, 0.15)
    fit = fit_gao_law(kl, gao_law(kl, alpha, beta, law), law=law, scorer="held_out")
    assert [fit.alpha, fit.beta] == pytest.approx([alpha, beta])
    best = minimize_scalar(
        lambda x: -gao_law(np.array([x]), alpha, beta, law)[0], bounds=(0.1, 40), method="bounded"
    )
    assert fit.optimum_kl == pytest.approx(best.x, rel=1e-3)


def test_an_optimum_outside_what_was_seen_is_not_claimed():
    kl = np.linspace(0.2, 4, 10)
    assert (
        fit_gao_law(kl, gao_law(kl, 1.2, 0.15, "best_of_n"), law="best_of_n", scorer="a").optimum_kl
        is None
    )
    assert fit_gao_law(kl, gao_law(kl, 1.0, -0.2, "rl"), law="rl", scorer="a").optimum_kl is None


def test_a_fit_needs_three_points():
    with pytest.raises(ValueError, match="needs 3 different"):
        fit_gao_law([0.0, 1.0, 2.0], [0.0, 1.0, 1.0], law="rl", scorer="train")


def test_mismatch_is_spearman_on_first_differences():
    rng = np.random.default_rng(1)
    reward, evaluation = rng.normal(size=20).cumsum(), rng.normal(size=20).cumsum()
    found = first_difference_correlation(reward, evaluation, seed=0)
    expected = stats.spearmanr(np.diff(reward), np.diff(evaluation)).statistic
    assert found.estimate == pytest.approx(expected)
    assert found.low <= found.estimate <= found.high


def test_curves_that_move_against_each_other_are_clearly_negative():
    walk = np.random.default_rng(2).normal(size=30).cumsum()
    noise = np.random.default_rng(3).normal(size=30) * 0.1
    assert first_difference_correlation(walk, -walk + noise, seed=0).high < 0
    with pytest.raises(ValueError, match="12 checkpoints"):
        first_difference_correlation(walk[:8], walk[:8], seed=0)
