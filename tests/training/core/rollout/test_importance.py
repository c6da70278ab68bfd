"""Truncated importance weights, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from training.core.ppo.losses import policy_loss
from training.core.rollout.importance import engine_table, importance_metrics, importance_weights

close = torch.testing.assert_close
MASK = tensor([[True, True, True], [False, False, True]])
OWN = tensor([[0.30, 0.10, 0.60], [1.0, 1.0, 0.20]]).log()
DRAWN = tensor([[0.20, 0.20, 0.10], [1.0, 1.0, 0.20]]).log()


def test_a_table_has_each_completion_at_the_right_end() -> None:
    table = engine_table([[-1.0, -2.0, -3.0], [-4.0]], MASK)
    assert table.tolist() == [[-1.0, -2.0, -3.0], [0.0, 0.0, -4.0]]


def test_weights_are_ratios_up_to_the_cap_and_one_where_no_token_is() -> None:
    weights = importance_weights(OWN, DRAWN, MASK, cap=2.0)
    close(weights, tensor([[1.5, 0.5, 2.0], [1.0, 1.0, 1.0]]))  # 0.6 / 0.1 is 6, truncated


def test_what_is_logged_is_the_ratio_before_the_cap() -> None:
    logged = importance_metrics(OWN, DRAWN, MASK, cap=2.0)
    assert logged == pytest.approx(
        {
            "importance_mean": (1.5 + 0.5 + 6 + 1) / 4,
            "importance_max": 6.0,
            "importance_truncated": 1 / 4,
            "engine_log_prob_gap": (math.log(1.5) + math.log(2) + math.log(6)) / 4,
        }
    )


def test_logged_numbers_are_means_over_all_processes() -> None:
    """Two processes with the same tokens say what one says."""
    alone = importance_metrics(OWN, DRAWN, MASK, cap=2.0)
    assert importance_metrics(OWN, DRAWN, MASK, cap=2.0, reduce=lambda x: 2 * x) == pytest.approx(
        alone
    )


def test_weights_carry_no_gradient_and_stay_finite() -> None:
    own = OWN.clone().requires_grad_()
    assert not importance_weights(own, DRAWN, MASK, cap=2.0).requires_grad
    never = torch.full_like(DRAWN, -200.0)
    assert float(importance_weights(OWN, never, MASK, cap=1e6).max()) == 1e6
    assert math.isfinite(importance_metrics(OWN, never, MASK, cap=2.0)["importance_mean"] or 0.0)


def test_a_weight_multiplies_the_loss_of_its_token() -> None:
    """A = 1, -1, 1, 1 at ratio 1: the losses -1, 1, -1, -1 times the weights, over four tokens."""
    advantages = tensor([[1.0, -1.0, 1.0], [9.0, 9.0, 1.0]])
    weights = importance_weights(OWN, DRAWN, MASK, cap=2.0).requires_grad_()
    log_probs = OWN.clone().requires_grad_()
    result = policy_loss(
        log_probs, OWN, advantages, MASK, clip_range=0.2, tokens=4, weights=weights
    )
    close(result.loss.detach(), tensor((-1.5 + 0.5 - 2.0 - 1.0) / 4))
    result.loss.backward()
    close(log_probs.grad, tensor([[-1.5, 0.5, -2.0], [0.0, 0.0, -1.0]]) / 4)
    assert weights.grad is None


def test_without_weights_the_loss_is_the_same_to_the_bit_as_with_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    new, old, advantages = torch.randn(3, 5, 7, generator=generator)
    mask = torch.rand(5, 7, generator=generator) < 0.8
    results = []
    for weights in (None, torch.ones(5, 7)):
        log_probs = new.clone().requires_grad_()
        loss = policy_loss(
            log_probs, old, advantages, mask, clip_range=0.2, tokens=28, weights=weights
        )
        loss.loss.backward()
        results.append((loss, log_probs.grad))
    (plain, slope), (weighted, other) = results
    assert all(torch.equal(a, b) for a, b in zip(plain, weighted, strict=True))
    assert slope is not None
    assert other is not None
    assert torch.equal(slope, other)
