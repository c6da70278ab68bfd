"""The clipped objectives of PPO (Schulman 2017, arXiv 1707.06347) over response tokens.

`tokens` is the number of response tokens of the whole mini-batch, over all micro-batches and
processes: adding the pieces up then gives the same loss however the batch was cut.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.core.rollout.kl import LOG_RATIO_LIMIT
from training.core.rollout.reduction import masked_sum

__all__ = ["PolicyLoss", "ValueLoss", "policy_loss", "value_loss"]


class PolicyLoss(NamedTuple):
    """Scalars. `loss` carries the gradient; `clipped` and `approx_kl` are sums over tokens."""

    loss: Tensor
    clipped: Tensor
    approx_kl: Tensor


class ValueLoss(NamedTuple):
    """Scalars. `loss` carries the gradient; `clipped` is the number of tokens at the clip."""

    loss: Tensor
    clipped: Tensor


def policy_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_range: float,
    tokens: Tensor | float,
    weights: Tensor | None = None,
) -> PolicyLoss:
    """sum_t w max(-A rho, -A clip(rho, 1 - eps, 1 + eps)) / tokens, rho = exp(log pi - log pi_old).

    Shapes: all [B, R]. `weights` w are those of tokens that another engine drew (`importance`), constants
    of the loss; without them w is 1. log rho is clamped to +-20. `clipped` counts tokens whose gradient the clip
    stopped; `approx_kl` sums (rho - 1) - log rho, the k3 estimate of KL(old, new).
    """
    log_ratio = (log_probs - old_log_probs).masked_fill(~mask, 0)
    log_ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    ratio = log_ratio.exp()
    free = -advantages * ratio
    held = -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)
    surrogate = torch.maximum(free, held)
    if weights is not None:
        surrogate = surrogate * weights.detach()
    loss = masked_sum(surrogate, mask) / tokens
    with torch.no_grad():
        clipped = ((held > free) & mask).sum()
        approx_kl = masked_sum(ratio - 1 - log_ratio, mask)
    return PolicyLoss(loss, clipped, approx_kl)


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip_range: float,
    tokens: Tensor | float,
) -> ValueLoss:
    """1/2 sum_t max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2) / tokens.

    Shapes: all [B, R]. The clip is the one of OpenAI's baselines (Huang 2024, detail 13).
    """
    near = torch.clamp(values, old_values - clip_range, old_values + clip_range)
    free, held = (values - returns).square(), (near - returns).square()
    loss = 0.5 * masked_sum(torch.maximum(free, held), mask) / tokens
    return ValueLoss(loss, ((held > free) & mask).sum().detach())
