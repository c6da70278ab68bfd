"""What one update learns from: every number is computed once per rollout and then only read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.core.ppo.advantages import estimate_advantages, whiten
from training.core.rollout.episodes import Episodes, TokenTables
from training.core.rollout.kl import k1
from training.core.rollout.reduction import Reduce, local
from training.core.rollout.rewarding import penalise_missing_eos, shape_rewards

__all__ = ["Experience", "build_experience"]


@dataclass(frozen=True)
class Experience:
    """Token ids, and [B, R] tables in fp32 beside them.

    `importance` are the weights of tokens that another engine drew; None where all are 1.
    """

    prompts: list[list[int]]
    responses: list[list[int]]
    mask: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    importance: Tensor | None = None


def build_experience(
    episodes: Episodes,
    tables: TokenTables,
    scores: Tensor,
    *,
    beta: float,
    gamma: float,
    gae_lambda: float,
    missing_eos_penalty: float,
    whiten_advantages: bool,
    importance: Tensor | None = None,
    reduce: Reduce = local,
) -> Experience:
    """Rewards, advantages and returns; the returns come from advantages before whitening.

    `scores` [B] are the rewards of whole completions, on the scale that PPO optimises.
    """
    mask = episodes.response_mask(tables.values.device)
    ended = torch.tensor(episodes.ended, device=mask.device)
    rewards = shape_rewards(
        penalise_missing_eos(scores.to(mask.device), ended, penalty=missing_eos_penalty),
        k1(tables.log_probs, tables.reference_log_probs),
        mask,
        beta=beta,
    )
    estimated = estimate_advantages(
        rewards, tables.values, mask, gamma=gamma, gae_lambda=gae_lambda
    )
    advantages = estimated.advantages
    if whiten_advantages:
        advantages = whiten(advantages, mask, reduce=reduce)
    return Experience(
        prompts=episodes.prompts,
        responses=episodes.responses,
        mask=mask,
        log_probs=tables.log_probs,
        values=tables.values,
        advantages=advantages,
        returns=estimated.returns,
        importance=importance,
    )
