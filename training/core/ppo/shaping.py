"""Rewards made of rewards: bounded, and centred on what the reference writes to the same prompt.

A reward model knows least where its scores are highest, and a policy that is paid without bound goes there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from annotation.rows import PromptRow
from training.contracts import Sampling
from training.core.data.randomness import derive_seed
from training.core.rollout.reference_texts import reference_texts
from training.core.rollout.rollouts import Sampler

__all__ = ["preference_as_reward", "reference_scores"]


def preference_as_reward(scores: Tensor, reference: Tensor, *, slope: float) -> Tensor:
    """PAR (Fu 2025, arXiv 2502.18770): mean over m of sigmoid(k (r - r_m)), between 0 and 1.

    Shapes: scores [B]; reference [B, M], the scores of M completions that the reference wrote to the same
    prompts -> [B]. On the Bradley-Terry scale with k = 1 it is the probability of being preferred to what
    the reference writes: its slope is largest where the policy begins, and goes to 0 far above.
    """
    return torch.sigmoid(slope * (scores[:, None] - reference.to(scores))).mean(1)


def reference_scores(
    sampler: Sampler,
    rows: Sequence[PromptRow],
    prompt_ids: Sequence[list[int]],
    numbers: Sequence[int],
    *,
    sampling: Sampling,
    completions: int,
    seed: int,
) -> Tensor:
    """[N, M] on the CPU: what the training reward gives M completions of the reference to N prompts.

    `numbers` are the prompts' places in the data: a completion depends on its prompt and the seed alone.
    """
    assert sampler.rewarder is not None  # PPO has one
    repeated = [i for i in range(len(rows)) for _ in range(completions)]
    seeds = [derive_seed(seed, "reference", n, m) for n in numbers for m in range(completions)]
    texts = reference_texts(sampler, [prompt_ids[i] for i in repeated], seeds, sampling=sampling)
    scores = sampler.rewarder.train_scores([rows[i].messages for i in repeated], texts)
    return scores.train.view(len(rows), completions)
