import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from evaluation.statistics.curves import (
    RunCurve,
    _spearman,
    first_difference_correlation,
    fit_gao_law,
    gao_law,
    pooled_optimum,
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
    assert found.n == 19


def test_curves_that_move_against_each_other_are_clearly_negative():
    walk = np.random.default_rng(2).normal(size=30).cumsum()
    noise = np.random.default_rng(3).normal(size=30) * 0.1
    assert first_difference_correlation(walk, -walk + noise, seed=0).high < 0
    with pytest.raises(ValueError, match="12 checkpoints"):
        first_difference_correlation(walk[:8], walk[:8], seed=0)


def test_a_rank_correlation_of_many_curves_is_scipys_one_by_one():
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 5, (2, 40, 13)).astype(float)  # with ties
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert _spearman(first, second) == pytest.approx(np.array(expected))


def test_a_reward_that_does_not_move_correlates_with_nothing():
    walk = np.random.default_rng(2).normal(size=15).cumsum()
    with pytest.raises(ValueError, match="undefined on too many"):
        first_difference_correlation(walk, np.ones(15), seed=0)


def run(alpha: float, beta: float, *, start: float, upto: float, noise: float = 0.0, seed: int = 0):
    kl = np.linspace(0.0, upto, 15)
    shaken = np.random.default_rng(seed).normal(0.0, 1.0, 15) * noise
    return RunCurve(kl, start + gao_law(kl, alpha, beta, "rl") + shaken)


def test_runs_that_start_elsewhere_and_go_differently_far_have_the_optimum_of_their_law():
    """d (1.2 - 0.8 log d) is highest at log d = 1.2 / 0.8 - 1, so at e^1 nats."""
    runs = [run(1.2, 0.8, start=0.3, upto=9.0), run(1.2, 0.8, start=-1.0, upto=5.0)]
    assert pooled_optimum(runs) == pytest.approx(np.exp(1.0))
    assert pooled_optimum(runs[:1]) == pytest.approx(np.exp(1.0))


def test_no_optimum_where_the_runs_were_still_rising_or_have_too_few_points():
    assert pooled_optimum([]) is None
    assert pooled_optimum([run(1.2, 0.8, start=0.0, upto=2.5)]) is None  # e nats lie beyond
    assert pooled_optimum([run(1.0, -0.2, start=0.0, upto=9.0)]) is None  # bends up
    few = run(1.2, 0.8, start=0.0, upto=9.0)
    assert pooled_optimum([RunCurve(few.kl[:8], few.reward[:8])]) is None  # seven above 0
    assert (
        pooled_optimum([RunCurve(few.kl[5:], few.reward[5:])]) is None
    )  # from 3.2 nats: it only fell


def test_noise_around_a_curve_that_flattens_shows_no_optimum():
    """The law peaks at e^1.6 = 5 nats, where the runs end: a fit alone puts it inside in half of all draws."""
    level = {"start": 0.0, "upto": 5.0, "noise": 0.1}
    found = [pooled_optimum([run(0.9, 0.5, seed=seed, **level)]) for seed in range(200)]
    assert sum(nats is not None for nats in found) / 200 < 0.09  # 5 % nominal
