"""What a rollout says about the policy that wrote it: the rows of the mismatch meter."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.core.rollout.diagnostics import distinct_share, repeated_share
from training.core.rollout.episodes import Episodes, TokenTables
from training.core.rollout.kl import k1, k3, sequence_mean
from training.core.rollout.reduction import Reduce, local, masked_mean

__all__ = ["Scores", "rollout_metrics"]


class Scores(NamedTuple):
    """One number per completion, all [B] in fp32.

    `train` is what PPO optimises, on the normalised scale; `train_raw` the same on the reward
    model's own scale; `spread` the standard deviation over its members. The held-out model is only
    ever watched; None where there is none.
    """

    train: Tensor
    train_raw: Tensor
    spread: Tensor
    held_out: Tensor | None = None
    held_out_raw: Tensor | None = None


def rollout_metrics(
    episodes: Episodes, tables: TokenTables, scores: Scores, *, reduce: Reduce = local
) -> dict[str, float | None]:
    """Means over the completions of all processes; KL in nats per sequence, lengths in tokens.

    distinct_2 is counted within each process and averaged.
    """
    mask = episodes.response_mask(tables.values.device)
    exact_mask = mask[: len(tables.exact_kl)]

    def mean(values: Tensor | None) -> float | None:
        if values is None:
            return None
        values = values.float().to(mask.device)
        count = reduce(torch.tensor(values.numel(), device=mask.device))
        return float(reduce(values.sum()) / count.clamp(min=1))

    log_ratios = (tables.log_probs, tables.reference_log_probs)
    return {
        "reward_train": mean(scores.train),
        "reward_train_raw": mean(scores.train_raw),
        "reward_held_out": mean(scores.held_out),
        "reward_held_out_raw": mean(scores.held_out_raw),
        "ensemble_std": mean(scores.spread),
        "kl_k1": float(sequence_mean(k1(*log_ratios), mask, reduce=reduce)),
        "kl_k3": float(sequence_mean(k3(*log_ratios), mask, reduce=reduce)),
        "kl_exact": (
            float(sequence_mean(tables.exact_kl, exact_mask, reduce=reduce))
            if len(exact_mask)
            else None
        ),
        "entropy": float(masked_mean(tables.entropy, mask, reduce=reduce)),
        "response_length": mean(mask.sum(1)),
        "eos_rate": mean(torch.tensor(episodes.ended)),
        "distinct_2": mean(torch.tensor([distinct_share(episodes.responses)])),
        "repetition": mean(torch.tensor([repeated_share(episodes.responses)])),
    }
