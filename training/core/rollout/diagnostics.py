"""Numbers that tell how a run fares; none of them is optimised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.core.rollout.reduction import Reduce, local, masked_mean

__all__ = ["distinct_share", "explained_variance", "repeated_share"]


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
