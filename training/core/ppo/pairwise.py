"""P3O (Wu 2023, arXiv 2310.00212): a policy learns from how two of its completions of one prompt compare."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.core.ppo.losses import PolicyLoss
from training.core.rollout.kl import LOG_RATIO_LIMIT
from training.core.rollout.reduction import masked_sum

__all__ = ["pair_policy_loss"]


def pair_policy_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    gaps: Tensor,
    mask: Tensor,
    *,
    clip_range: float,
    ratio_cap: float,
    pairs: Tensor | float,
) -> PolicyLoss:
    """sum over pairs of max(-g w d, -g w clip(d, -eps, eps)) / 2 / pairs: joint clipping, the paper's second
    version (P3O-V2), as its authors' program has it.

    Rows 2 i and 2 i + 1 are completions of one prompt. s = sum_t (log pi - log pi_old) of a completion,
    d = s_0 - s_1, and w = exp(s_0 + s_1), a constant within [1 / `ratio_cap`, `ratio_cap`], weighs the pair
    as the present policy would draw it. g [B / 2] are the returns of the first less those of the second, the
    KL price among them as it was when they were drawn (the authors take it anew in each step). What raises
    both rewards of a prompt alike changes nothing. `clip_range` is in nats of whole completions. At the policy
    that drew them the gradient is that of RLOO with two completions, not divided by their lengths.

    Shapes: log_probs, old_log_probs, mask [B, R]. `pairs` is their number over all micro-batches and processes;
    `clipped` counts the tokens of pairs whose gradient the clip stopped, `approx_kl` is as in `policy_loss`.
    """
    log_ratio = (log_probs - old_log_probs).masked_fill(~mask, 0)
    first, second = log_ratio.sum(1).view(-1, 2).unbind(1)
    difference = first - second
    limit = math.log(ratio_cap)
    weight = (first + second).detach().clamp(-limit, limit).exp()
    pull = -gaps * weight / 2
    free = pull * difference
    held = pull * difference.clamp(-clip_range, clip_range)
    loss = torch.maximum(free, held).sum() / pairs
    with torch.no_grad():
        stopped = (held > free).repeat_interleave(2)
        small = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
        approx_kl = masked_sum(small.exp() - 1 - small, mask)
    return PolicyLoss(loss, (stopped[:, None] & mask).sum(), approx_kl)
