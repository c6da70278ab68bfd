"""Hand-worked numbers for the pure functions of an update."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from training.contracts import KlControl
from training.core.ppo import controllers, losses
from training.core.ppo.advantages import estimate_advantages, whiten
from training.core.rollout import rewarding

close = torch.testing.assert_close
MASK = tensor([[True, True, True], [True, False, False]])


def test_rewards_and_advantages_do_not_care_on_which_side_the_padding_is() -> None:
    def chain(kl_table: torch.Tensor, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shaped = rewarding.shape_rewards(tensor([2.0, -1.0]), kl_table, mask, beta=0.5)
        return estimate_advantages(shaped, values, mask, gamma=0.9, gae_lambda=0.8).advantages

    log_ratio, values = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(0))
    right = torch.where(MASK, chain(log_ratio, values, MASK), 9.0)
    move = tensor([[0, 1, 2], [1, 2, 0]])  # the only token of row 1 goes to the last column
    moved = [table.gather(1, move) for table in (log_ratio, values, MASK)]
    left = torch.where(moved[2], chain(*moved), 9.0)
    close(left, right.gather(1, move))


def test_advantages_by_hand_and_blind_to_what_lies_behind_the_end() -> None:
    reward = tensor([[0.0, 0.0, 1.0], [2.0, 7.0, 7.0]])
    values = tensor([[0.5, 0.6, 0.7], [1.5, 7.0, 7.0]])
    result = estimate_advantages(reward, values, MASK, gamma=1.0, gae_lambda=0.5)
    # deltas: .1, .1, .3 and .5; A_2 = .3, A_1 = .1 + .15, A_0 = .1 + .125
    close(result.advantages, tensor([[0.225, 0.25, 0.3], [0.5, 0.0, 0.0]]))
    close(result.returns, tensor([[0.725, 0.85, 1.0], [2.0, 0.0, 0.0]]))


def test_with_gamma_and_lambda_one_returns_are_the_sum_of_rewards_to_come() -> None:
    reward = tensor([[1.0, 2.0, 4.0], [3.0, 0.0, 0.0]])
    values = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    result = estimate_advantages(reward, values, MASK, gamma=1.0, gae_lambda=1.0)
    close(result.returns, tensor([[7.0, 6.0, 4.0], [3.0, 0.0, 0.0]]))


def test_whitening_by_hand() -> None:
    values = tensor([[1.0, 2.0, 3.0], [6.0, 50.0, 50.0]])  # mean 3, variance 14 / 3
    spread = math.sqrt(14 / 3)
    expected = tensor([[-2 / spread, -1 / spread, 0.0], [3 / spread, 0.0, 0.0]])
    close(whiten(values, MASK), expected)
    close(whiten(values, MASK, shift_mean=False), torch.where(MASK, expected + 3, 0.0))


def test_whitening_uses_the_statistics_of_all_processes() -> None:
    here, there = tensor([[1.0, 2.0]]), tensor([[3.0, 6.0]])
    both = torch.ones(1, 4, dtype=torch.bool)
    whole = whiten(torch.cat([here, there], 1), both)
    sums = iter([4, 12.0, 14.0])  # tokens, sum, sum of squared differences over both processes
    part = whiten(here, both[:, :2], reduce=lambda _: tensor(next(sums)))
    close(part, whole[:, :2])


def test_policy_loss_clips_only_where_the_policy_would_gain() -> None:
    ratio = tensor([[1.5, 0.5, 1.5]])
    advantage = tensor([[1.0, -1.0, -1.0]])
    result = losses.policy_loss(
        ratio.log(), torch.zeros(1, 3), advantage, MASK[:1], clip_range=0.2, tokens=3
    )
    close(result.loss, tensor((-1.2 + 0.8 + 1.5) / 3))
    assert result.clipped.item() == 2
    by_hand = 1.5 + 0.5 + 1.5 - 3 - math.log(1.5 * 0.5 * 1.5)
    close(result.approx_kl, tensor(by_hand))


def test_policy_loss_stays_finite_for_an_absurd_ratio() -> None:
    result = losses.policy_loss(
        tensor([[500.0]]),
        tensor([[0.0]]),
        tensor([[-1.0]]),
        tensor([[True]]),
        clip_range=0.2,
        tokens=1,
    )
    close(result.loss, tensor(math.exp(20.0)))


def test_policy_loss_ignores_what_is_masked_even_when_it_is_not_finite() -> None:
    new = tensor([[0.0, math.nan, math.inf], [0.0, math.nan, math.nan]], requires_grad=True)
    mask = tensor([[True, False, False], [True, False, False]])
    result = losses.policy_loss(
        new, torch.zeros(2, 3), torch.ones(2, 3), mask, clip_range=0.2, tokens=2
    )
    result.loss.backward()
    close(result.loss.detach(), tensor(-1.0))
    close(new.grad, tensor([[-0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]))


def test_value_loss_takes_the_worse_of_free_and_clipped() -> None:
    values, old, returns = tensor([[1.0, 2.0]]), tensor([[0.0, 1.9]]), tensor([[1.0, 3.0]])
    result = losses.value_loss(
        values, old, returns, tensor([[True, True]]), clip_range=0.2, tokens=2
    )
    close(result.loss, tensor((0.8**2 + 1.0**2) / 2 / 2))  # 1.0 is held at 0.2; 2.0 is free
    assert result.clipped.item() == 1


def test_a_fixed_coefficient_stays() -> None:
    assert controllers.next_beta(0.07, control=KlControl(), sequence_kl=99, sequences=256) == 0.07


@pytest.mark.parametrize(("measured", "error"), [(6.6, 0.1), (60.0, 0.2), (0.6, -0.2)])
def test_the_adaptive_coefficient_follows_the_clipped_error(measured: float, error: float) -> None:
    control = KlControl(kind="adaptive", target=6.0, horizon=1000)
    result = controllers.next_beta(0.1, control=control, sequence_kl=measured, sequences=500)
    assert result == pytest.approx(0.1 * (1 + error * 0.5))


@pytest.mark.parametrize(("measured", "factor"), [(0.0, 0.8), (-3.0, 0.8), (60.0, 1.2), (6.6, 1.1)])
def test_an_update_of_many_horizons_moves_the_price_by_a_fifth_at_most(
    measured: float, factor: float
) -> None:
    """0.1 (1 - 0.2 x 600 / 100) would be a price of -0.02."""
    control = KlControl(kind="adaptive", target=6.0, horizon=100)
    result = controllers.next_beta(0.1, control=control, sequence_kl=measured, sequences=600)
    assert result == pytest.approx(0.1 * factor)
