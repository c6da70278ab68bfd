"""The unbiased estimator of best-of-n against every subset and against simulation, and its KL."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from training.core.best_of_n.estimates import (
    best_of_n_kl,
    best_rows,
    expected_best,
    expected_by_n,
    powers_of_two,
)


def random_scores(prompts: int, total: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A proxy and what is wanted, correlated 0.6."""
    generator = torch.Generator().manual_seed(3)
    proxy, noise = torch.randn(2, prompts, total, generator=generator, dtype=torch.float64)
    return proxy, 0.6 * proxy + 0.8 * noise


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_estimator_is_the_mean_over_all_subsets(n: int) -> None:
    proxy, wanted = random_scores(4, 5)
    for row in range(4):
        chosen = [
            float(wanted[row, max(subset, key=lambda i: float(proxy[row, i]))])
            for subset in itertools.combinations(range(5), n)
        ]
        assert float(expected_best(proxy, wanted, n)[row]) == pytest.approx(np.mean(chosen))


@pytest.mark.parametrize("n", [2, 4, 8])
def test_the_estimator_meets_simulated_best_of_n_within_two_standard_errors(n: int) -> None:
    """64 draws of each of 400 prompts against 400 fresh tournaments of n: both estimate E[wanted]."""
    proxy, wanted = random_scores(400, 64)
    estimate = expected_best(proxy, wanted, n)
    generator = np.random.default_rng(8)
    fresh, noise = generator.normal(size=(2, 40_000, n))
    best = fresh.argmax(1)[:, None]
    simulated = 0.6 * np.take_along_axis(fresh, best, 1) + 0.8 * np.take_along_axis(noise, best, 1)
    error = math.hypot(
        float(estimate.std()) / math.sqrt(len(estimate)), simulated.std() / math.sqrt(40_000)
    )
    assert abs(float(estimate.mean()) - simulated.mean()) < 2 * error


def test_with_the_proxy_itself_it_is_the_expected_maximum() -> None:
    """E[max of n] of n uniform numbers is n / (n + 1)."""
    uniform = torch.rand(2000, 16, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for n in (1, 3, 16):
        found = expected_best(uniform, uniform, n)
        error = float(found.std()) / math.sqrt(len(found))
        assert abs(float(found.mean()) - n / (n + 1)) < 3 * error


def test_an_n_beyond_the_draws_is_refused() -> None:
    scores = torch.zeros(1, 4)
    with pytest.raises(ValueError, match="between 1 and the 4"):
        expected_best(scores, scores, 5)


@pytest.mark.parametrize("n", [2, 4, 16])
def test_the_kl_is_bounded_and_the_bound_is_reached_by_many_equal_arms(n: int) -> None:
    """Among K equally likely arms the best of n is arm i with probability (i/K)^n - ((i-1)/K)^n."""
    previous = 0.0
    for arms in (3, 30, 30_000):
        edges = (np.arange(arms + 1) / arms) ** n
        chances = np.diff(edges)
        kl = float(np.sum(chances * np.log(chances * arms)))
        assert previous < kl <= best_of_n_kl(n)
        previous = kl
    assert previous == pytest.approx(best_of_n_kl(n), abs=1e-3)


def test_a_coin_stays_far_below_the_bound() -> None:
    """Two arms of chance 1/2: the best of 4 is the better one with probability 15/16."""
    kl = 15 / 16 * math.log(15 / 8) + 1 / 16 * math.log(1 / 8)
    assert kl < best_of_n_kl(4) == pytest.approx(math.log(4) - 3 / 4)


def test_the_winner_of_equal_scores_is_the_first() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -1.0, 5.0]])
    assert best_rows(scores).tolist() == [1, 0, 2]


def test_powers_of_two_end_with_n() -> None:
    assert powers_of_two(8) == [1, 2, 4, 8]
    assert powers_of_two(6) == [1, 2, 4, 6]


def test_every_n_has_its_worth_by_both_models_over_all_processes() -> None:
    proxy = torch.tensor([[1.0, 3.0, 2.0]])
    held_out = torch.tensor([[30.0, 10.0, 20.0]])
    rows = expected_by_n(proxy, held_out, total=lambda value: 2 * float(value))  # two alike
    assert [row["n"] for row in rows] == [1, 2, 3]
    # Of the pairs {1, 3}, {1, 2}, {3, 2} the best are 3, 2, 3, which the other model calls 10, 20, 10.
    assert [row["reward_train"] for row in rows] == pytest.approx([2, 8 / 3, 3])
    assert [row["reward_held_out"] for row in rows] == pytest.approx([20, 40 / 3, 10])
    assert rows[1]["kl_bound"] == pytest.approx(math.log(2) - 1 / 2)
    alone = expected_by_n(proxy, None, total=lambda value: float(value))
    assert [row["reward_held_out"] for row in alone] == [None] * 3
