"""From one score per completion and a KL per token to one reward per token."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["penalise_missing_eos", "shape_rewards"]


def penalise_missing_eos(scores: Tensor, ended: Tensor, *, penalty: float) -> Tensor:
    """score - penalty where the completion did not end by itself (Stiennon 2020; Huang 2024).

    Shapes: scores [B], ended [B] boolean, True where the text closed with EOS -> [B].
    """
    return scores - penalty * (~ended).to(scores.dtype)


def shape_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, beta: float) -> Tensor:
    """r_t = -beta * kl_t + [t is the last response token] * score (Ziegler 2019, eq. 2).

    Shapes: scores [B], kl [B, R] (the k1 estimator), mask [B, R] -> [B, R], 0 outside the mask.
    No gradient passes: the penalty is a reward, not a loss.
    """
    rewards = (-beta * kl.detach()).masked_fill(~mask, 0)
    last = (mask * torch.arange(mask.shape[1], device=mask.device)).amax(1)
    present = mask.any(1).to(rewards.dtype)
    return rewards.scatter_add(1, last[:, None], (scores.detach() * present)[:, None])
