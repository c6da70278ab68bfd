"""What it costs that another engine drew the tokens: truncated importance weights.

An engine computes the same function in another way, so that its probabilities mu differ from those of
the training forward pass, pi_old, a little or, in low precision, more. A token drawn from mu stands for
pi_old / mu tokens of the policy. The weight is truncated (Ionides 2008, "Truncated importance
sampling"), which bounds its variance at the price of some bias; Yao et al. 2025 ("Your efficient RL
framework secretly brings you off-policy RL training") put it on each token of the policy loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.core.rollout.kl import LOG_RATIO_LIMIT
from training.core.rollout.reduction import Reduce, local, masked_mean

__all__ = ["engine_table", "importance_metrics", "importance_weights"]


def engine_table(log_probs: Sequence[Sequence[float]], mask: Tensor) -> Tensor:
    """[B, R] in fp32 from one list a completion; 0 outside `mask`, which has as many True in each row."""
    table = torch.zeros(mask.shape, device=mask.device)
    table[mask] = torch.tensor([p for row in log_probs for p in row], device=mask.device)
    return table


def _ratios(log_probs: Tensor, engine_log_probs: Tensor, mask: Tensor) -> Tensor:
    """pi_old / mu, [B, R]; 1 outside the mask."""
    log_ratio = (log_probs - engine_log_probs).masked_fill(~mask, 0)
    return log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def importance_weights(
    log_probs: Tensor, engine_log_probs: Tensor, mask: Tensor, *, cap: float
) -> Tensor:
    """min(pi_old / mu, cap), [B, R], detached; 1 outside the mask.

    log_probs         of the drawn tokens by the training forward pass, before the update
    engine_log_probs  of the same tokens under the distribution that they were drawn from
    """
    return _ratios(log_probs, engine_log_probs, mask).clamp(max=cap).detach()


def importance_metrics(
    log_probs: Tensor,
    engine_log_probs: Tensor,
    mask: Tensor,
    *,
    cap: float,
    reduce: Reduce = local,
) -> dict[str, float | None]:
    """Over the response tokens of all processes: the ratio before it is truncated, and the difference.

    The largest ratio is that of each process, averaged: totals are all that processes exchange.
    """
    ratios = _ratios(log_probs, engine_log_probs, mask)
    gap = (log_probs - engine_log_probs).abs()
    count = reduce(torch.ones((), device=mask.device))
    return {
        "importance_mean": float(masked_mean(ratios, mask, reduce=reduce)),
        "importance_max": float(reduce(ratios.masked_fill(~mask, 0).max()) / count),
        "importance_truncated": float(masked_mean((ratios > cap).float(), mask, reduce=reduce)),
        "engine_log_prob_gap": float(masked_mean(gap, mask, reduce=reduce)),
    }
