"""What a rollout says about the policy that wrote it: the rows of the mismatch meter. None of it is optimised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.core.rollout.episodes import Episodes, TokenTables
from training.core.rollout.kl import k1, k3, sequence_mean
from training.core.rollout.reduction import Reduce, local, masked_mean

__all__ = ["Scores", "distinct_share", "explained_variance", "repeated_share", "rollout_metrics"]


class Scores(NamedTuple):
    """One number per completion, all [B] in fp32.

    `train` is what PPO optimises, on the normalised scale; `train_raw` the same on the reward
    model's own scale; `spread` the standard deviation over its members. The held-out model is only
    ever watched; None where there is none. `verified` is what a verifier said, NaN where it failed;
    `outliers` the share of members to whom the text lies outside what the reference writes.
    """

    train: Tensor
    train_raw: Tensor
    spread: Tensor
    held_out: Tensor | None = None
    held_out_raw: Tensor | None = None
    verified: Tensor | None = None
    outliers: Tensor | None = None


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
    asked = {}
    if scores.verified is not None:
        asked = {
            "reward_verifier": mean(scores.verified.nan_to_num(0.0)),
            "verifier_failures": mean(scores.verified.isnan()),
        }
    if scores.outliers is not None:
        asked["outlier_share"] = mean(scores.outliers)
    return asked | {
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


def explained_variance(
    values: Tensor, returns: Tensor, mask: Tensor, *, reduce: Reduce = local
) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over masked tokens; 0 where returns are constant.

    1 is a perfect critic, 0 one no better than a constant, below 0 one that is worse.
    """

    def variance(x: Tensor) -> Tensor:
        mean = masked_mean(x, mask, reduce=reduce)
        return masked_mean((x - mean).square(), mask, reduce=reduce)

    total = variance(returns)
    explained = 1 - variance(returns - values) / total.clamp(min=1e-12)
    return torch.where(total > 1e-12, explained, torch.zeros_like(total))


def _ngrams(tokens: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def distinct_share(completions: Sequence[Sequence[int]], *, n: int = 2) -> float:
    """Different n-grams over all n-grams of a batch (Li 2016, distinct-n); 1 where there is none.

    It falls as the policy says the same thing to every prompt.
    """
    grams = [gram for tokens in completions for gram in _ngrams(tokens, n)]
    return len(set(grams)) / len(grams) if grams else 1.0


def repeated_share(completions: Sequence[Sequence[int]], *, n: int = 4) -> float:
    """Mean over completions of the share of n-grams that the same completion had before."""
    shares = [
        1 - len(set(grams)) / len(grams)
        for grams in (_ngrams(tokens, n) for tokens in completions)
        if grams
    ]
    return sum(shares) / len(completions) if shares else 0.0
