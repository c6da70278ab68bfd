"""What one update learns from: every number is computed once per rollout and then only read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.contracts import Advantage
from training.core.ppo.advantages import (
    Advantages,
    estimate_advantages,
    group_standardised,
    leave_one_out,
    whiten,
)
from training.core.rollout.episodes import Episodes, TokenTables
from training.core.rollout.kl import k1
from training.core.rollout.reduction import Reduce, local
from training.core.rollout.rewarding import penalise_missing_eos, shape_rewards

__all__ = ["Experience", "build_experience"]


@dataclass(frozen=True)
class Experience:
    """Token ids, and [B, R] tables in fp32 beside them; `values` and `returns` are 0 without a critic.

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
    advantage: Advantage = "gae",
    group: int = 1,
    importance: Tensor | None = None,
    reduce: Reduce = local,
) -> Experience:
    """Rewards, advantages and returns; the returns come from advantages before whitening.

    `scores` [B] are the rewards of whole completions, on the scale that PPO optimises; `group` of them in
    a row are of one prompt. The KL penalty is part of the token rewards, whatever the `advantage`.
    """
    mask = episodes.response_mask(tables.values.device)
    ended = torch.tensor(episodes.ended, device=mask.device)
    rewards = shape_rewards(
        penalise_missing_eos(scores.to(mask.device), ended, penalty=missing_eos_penalty),
        k1(tables.log_probs, tables.reference_log_probs),
        mask,
        beta=beta,
    )
    if advantage == "gae":
        estimated = estimate_advantages(
            rewards, tables.values, mask, gamma=gamma, gae_lambda=gae_lambda
        )
    else:
        estimated = _without_critic(rewards, mask, advantage=advantage, group=group)
    advantages = estimated.advantages
    if advantage == "reinforce_plus_plus" or (advantage == "gae" and whiten_advantages):
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


def _without_critic(
    rewards: Tensor, mask: Tensor, *, advantage: Advantage, group: int
) -> Advantages:
    """Rewards [B, R] to advantages [B, R], the same for every token of a completion, and returns of 0.

    Of REINFORCE++ (Hu 2025, arXiv 2501.03262), A_t = sum of the rewards from t on, before it is whitened
    over the whole batch: the one method here that tells the tokens of a completion apart, by their KL.
    """
    nothing = torch.zeros_like(rewards)
    if advantage == "reinforce_plus_plus":
        summed = estimate_advantages(rewards, nothing, mask, gamma=1.0, gae_lambda=1.0)
        return Advantages(summed.advantages, nothing)
    if advantage == "p3o":  # each of a pair less the other
        of_completions = leave_one_out(rewards.sum(1), group=2)
    else:
        compared = leave_one_out if advantage == "rloo" else group_standardised
        of_completions = compared(rewards.sum(1), group=group)
    return Advantages(of_completions[:, None] * mask, nothing)
