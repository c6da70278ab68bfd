"""Advantages without a critic, by hand: within the group of a prompt, and over the whole batch."""

from __future__ import annotations

import math

import torch
from torch import tensor

from training.core.ppo.advantages import group_standardised, leave_one_out
from training.core.ppo.experience import Experience, build_experience
from training.core.rollout.episodes import Episodes, TokenTables

close = torch.testing.assert_close


def test_each_completion_is_compared_with_the_mean_of_the_others() -> None:
    returns = tensor([1.0, 2.0, 6.0, 0.0, 0.0, 3.0])
    # 1 - (2 + 6) / 2, 2 - (1 + 6) / 2, 6 - (1 + 2) / 2; 0 - 1.5, 0 - 1.5, 3 - 0
    close(leave_one_out(returns, group=3), tensor([-3.0, -1.5, 4.5, -1.5, -1.5, 3.0]))


def test_a_group_is_standardised_by_its_own_mean_and_deviation() -> None:
    # mean 3, variance (4 + 1 + 9) / 2 = 7; the second group differs by a tenth of it and counts the same
    returns = tensor([1.0, 2.0, 6.0, 0.1, 0.2, 0.6])
    spread = math.sqrt(7)
    expected = tensor([-2.0, -1.0, 3.0]) / spread
    close(group_standardised(returns, group=3), expected.repeat(2), atol=1e-3, rtol=0)


def test_a_group_of_equal_returns_teaches_nothing() -> None:
    same = torch.full((4,), 7.0)
    close(group_standardised(same, group=4), torch.zeros(4))
    close(leave_one_out(same, group=4), torch.zeros(4))


def _experience(advantage: str, group: int) -> Experience:
    """Two completions of 3 and 1 tokens, aligned to the right; beta 0.5, one of them without an end."""
    episodes = Episodes([[1], [1]], [[5, 6, 7], [8]], [True, False], ["a b c", "d"])
    own = tensor([[0.4, -0.2, 0.6], [0.0, 0.0, 1.0]])
    nothing = torch.zeros(2, 3)
    tables = TokenTables(own, nothing, nothing, nothing, nothing)
    return build_experience(
        episodes,
        tables,
        tensor([2.0, 3.0]),
        beta=0.5,
        gamma=1.0,
        gae_lambda=0.95,
        missing_eos_penalty=1.5,
        whiten_advantages=True,
        advantage=advantage,  # type: ignore[arg-type]
        group=group,
    )


def test_the_kl_price_and_a_missing_end_are_part_of_what_is_compared() -> None:
    found = _experience("rloo", group=2)
    # 2 - 0.5 (0.4 - 0.2 + 0.6) = 1.6 and 3 - 1.5 - 0.5 = 1.0; not whitened afterwards
    close(found.advantages, tensor([[0.6, 0.6, 0.6], [0.0, 0.0, -0.6]]))
    close(found.returns, torch.zeros(2, 3))


def test_the_group_deviation_scales_every_token_alike() -> None:
    step = 0.3 / (0.6 / math.sqrt(2) + 1e-4)
    close(_experience("grpo", group=2).advantages, tensor([[step, step, step], [0.0, 0.0, -step]]))


def test_reinforce_plus_plus_sums_what_is_to_come_and_whitens_the_batch() -> None:
    found = _experience("reinforce_plus_plus", group=1).advantages
    # to come: 1.6, 1.8, 1.7 and 1.0; mean 1.525, squares 0.005625 + 0.075625 + 0.030625 + 0.275625
    spread = math.sqrt(0.3875 / 3)
    expected = tensor([[0.075, 0.275, 0.175], [0.0, 0.0, -0.525]]) / spread
    close(found, expected)
