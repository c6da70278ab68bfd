"""What was better than expected: by a critic (Schulman 2016, arXiv 1506.02438), or by other completions.

Without a critic a completion is one action. Its return is the sum of its token rewards, the KL penalty
among them, so that being near the reference is compared like any other merit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.core.rollout.reduction import Reduce, local, masked_sum

__all__ = ["Advantages", "estimate_advantages", "group_standardised", "leave_one_out", "whiten"]

GROUP_EPSILON = 1e-4
"""A group of equal returns teaches nothing, whatever rounding says."""


class Advantages(NamedTuple):
    """Both [B, R]: advantages, and the returns that the value function should learn."""

    advantages: Tensor
    returns: Tensor


def estimate_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, gae_lambda: float
) -> Advantages:
    """A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t; returns A_t + V_t.

    Shapes: rewards, values, mask [B, R] -> two times [B, R], 0 outside the mask. The value after the
    last response token is 0: an episode ends with its text, cut off or not.
    """
    rewards, values = rewards.masked_fill(~mask, 0), values.masked_fill(~mask, 0)
    following = torch.zeros_like(values[:, 0])
    carried = torch.zeros_like(following)
    columns: list[Tensor] = []
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * following - values[:, t]
        carried = delta + gamma * gae_lambda * carried
        following = values[:, t]
        columns.append(carried)
    advantages = torch.stack(columns[::-1], dim=1).masked_fill(~mask, 0)
    return Advantages(advantages, (advantages + values).masked_fill(~mask, 0))


def leave_one_out(returns: Tensor, *, group: int) -> Tensor:
    """RLOO (Ahmadian 2024, arXiv 2402.14740): A_i = R_i - mean of the other R_j of the same prompt.

    Shapes: returns [B], stretches of `group` completions of one prompt -> [B]. The baseline does not
    depend on the completion, so the gradient stays unbiased. Dr. GRPO (Liu 2025, arXiv 2503.20783),
    R_i less the mean of all, is this times (group - 1) / group.
    """
    groups = returns.view(-1, group)
    centred = groups - groups.mean(1, keepdim=True)
    return (centred * (group / (group - 1))).view(-1)


def group_standardised(returns: Tensor, *, group: int) -> Tensor:
    """GRPO (Shao 2024, arXiv 2402.03300): A_i = (R_i - mean) / std of the completions of its prompt.

    Shapes: returns [B], stretches of `group` -> [B]. The standard deviation is the unbiased one. A prompt
    on which all completions are nearly alike counts as much as one on which they differ widely.
    """
    groups = returns.view(-1, group)
    centred = groups - groups.mean(1, keepdim=True)
    return (centred / (groups.std(1, keepdim=True) + GROUP_EPSILON)).view(-1)


def whiten(
    values: Tensor, mask: Tensor, *, shift_mean: bool = True, reduce: Reduce = local
) -> Tensor:
    """(x - mean) / sqrt(var + 1e-8) over the masked entries of all processes.

    Shapes: values, mask [B, R] -> [B, R], 0 outside the mask. The variance is the unbiased one;
    with `shift_mean=False` the mean is put back (Huang 2024, detail 17).
    """
    count = reduce(mask.sum()).clamp(min=1)
    mean = reduce(masked_sum(values, mask)) / count
    squares = reduce(masked_sum((values - mean).square(), mask))
    variance = squares / (count - 1).clamp(min=1)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift_mean else whitened + mean).masked_fill(~mask, 0)
