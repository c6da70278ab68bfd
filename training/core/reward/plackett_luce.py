"""The likelihood of a ranking as a whole: the best is chosen, then the best of the rest, and so on.

Plackett 1975 ("The Analysis of Permutations", Eq. 1) after Luce 1959: an answer is chosen from those that are
left with probability exp(s_i) / sum_j exp(s_j). With two answers this is Bradley-Terry.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from math import comb

import torch
from torch import Tensor

__all__ = ["plackett_luce_loss"]

Levels = tuple[int, ...]


def plackett_luce_loss(scores: Sequence[Tensor], levels: Sequence[Levels]) -> Tensor:
    """-log P(ranking) of B rankings, (B,), in nats.

    `scores` holds a tensor (K,) a ranking, `levels` the level of each answer, 1 the best. K may differ. For an
    order without ties, s_(1) .. s_(K) from the best to the worst, it is sum_k [log sum_{j >= k} exp s_(j) - s_(k)].

    Answers of one level may stand in any order: the loss is the mean over all orders that agree with the ties,
    each as likely. So a tie of two answers is -1/2 log sigmoid(d) - 1/2 log sigmoid(-d), as elsewhere.
    """
    return torch.stack([_one(s, tuple(order)) for s, order in zip(scores, levels, strict=True)])


def _one(scores: Tensor, levels: Levels) -> Tensor:
    masks, weights = _stages(levels)
    kept = torch.tensor(masks, device=scores.device)  # (M, K): who is left to be chosen from
    left = scores.expand(len(masks), -1).masked_fill(~kept, -torch.inf)
    return (scores.new_tensor(weights) * torch.logsumexp(left, -1)).sum() - scores.sum()


@lru_cache(maxsize=4096)
def _stages(levels: Levels) -> tuple[list[list[bool]], list[float]]:
    """The sets of answers that are left at one stage or another, and how likely each is met.

    While r of the t answers of a level are left, over all their orders every subset of r is met equally often:
    with probability 1 / C(t, r), beside all answers of worse levels. So 2^t - 1 sets tell of t! orders.
    """
    masks, weights = list[list[bool]](), list[float]()
    for level in sorted(set(levels)):
        tied = [i for i, other in enumerate(levels) if other == level]
        for left in range(1, len(tied) + 1):
            for subset in itertools.combinations(tied, left):
                masks.append([i in subset or other > level for i, other in enumerate(levels)])
                weights.append(1 / comb(len(tied), left))
    return masks, weights
