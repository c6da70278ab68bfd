"""Hand-worked numbers for the pure functions on a rollout."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from training.core.rollout import kl, metrics, rewarding
from training.core.rollout.reduction import masked_mean

close = torch.testing.assert_close
MASK = tensor([[True, True, True], [True, False, False]])


def test_k1_can_be_negative_and_k3_cannot() -> None:
    own, other = tensor([math.log(0.2)]), tensor([math.log(0.4)])
    close(kl.k1(own, other), tensor([-math.log(2)]))
    close(kl.k3(own, other), tensor([2 - 1 - math.log(2)]))


def test_exact_kl_is_the_expectation_of_k1_and_k3() -> None:
    p, q = tensor([0.5, 0.3, 0.2]), tensor([0.2, 0.2, 0.6])
    exact = kl.exact_kl(p.log()[None, None], q.log()[None, None], temperature=1.0)
    by_hand = 0.5 * math.log(2.5) + 0.3 * math.log(1.5) + 0.2 * math.log(1 / 3)
    close(exact, tensor([[by_hand]]))
    close((p * kl.k1(p.log(), q.log())).sum(), exact[0, 0])
    close((p * kl.k3(p.log(), q.log())).sum(), exact[0, 0])


def test_sequence_mean_sums_tokens_and_averages_sequences() -> None:
    values = tensor([[1.0, 2.0, 3.0], [10.0, 99.0, 99.0]])
    close(kl.sequence_mean(values, MASK), tensor(8.0))  # (6 + 10) / 2


def test_sequence_mean_adds_up_over_processes() -> None:
    values = tensor([[1.0, 2.0, 3.0], [10.0, 99.0, 99.0]])
    twice = kl.sequence_mean(values, MASK, reduce=lambda x: x * 2)  # two equal processes
    close(twice, tensor(8.0))


def test_rewards_put_the_score_on_the_last_response_token() -> None:
    log_ratio = tensor([[0.1, -0.2, 0.3], [0.5, 9.0, 9.0]])
    result = rewarding.shape_rewards(tensor([2.0, -1.0]), log_ratio, MASK, beta=0.5)
    close(result, tensor([[-0.05, 0.1, 1.85], [-1.25, 0.0, 0.0]]))


def test_rewards_carry_no_gradient() -> None:
    log_ratio = torch.zeros(2, 3, requires_grad=True)
    assert not rewarding.shape_rewards(tensor([1.0, 1.0]), log_ratio, MASK, beta=0.5).requires_grad


def test_a_completion_without_eos_pays_the_penalty() -> None:
    result = rewarding.penalise_missing_eos(tensor([2.0, 2.0]), tensor([True, False]), penalty=1.5)
    close(result, tensor([2.0, 0.5]))


def test_explained_variance_of_a_perfect_a_constant_and_a_harmful_critic() -> None:
    returns = tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]])
    close(metrics.explained_variance(returns, returns, MASK), tensor(1.0))
    close(metrics.explained_variance(torch.ones(2, 3), returns, MASK), tensor(0.0))
    close(metrics.explained_variance(-returns, returns, MASK), tensor(-3.0))
    close(metrics.explained_variance(returns, torch.ones(2, 3), MASK), tensor(0.0))


def test_distinct_share_counts_over_the_batch_and_repeated_share_within_one_text() -> None:
    assert metrics.distinct_share([[1, 2, 3], [1, 2]], n=2) == pytest.approx(2 / 3)
    assert metrics.distinct_share([[1]], n=2) == 1.0
    assert metrics.repeated_share([[1, 2, 1, 2, 1], [5]], n=2) == pytest.approx(0.25)


def test_masked_mean_of_nothing_is_zero() -> None:
    close(masked_mean(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool)), tensor(0.0))
