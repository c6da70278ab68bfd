"""Rankings as batch elements: their pairs put together again, and the loss of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.core.data.pairs import EncodedPair
from training.core.reward.batches import Element
from training.core.reward.losses import bradley_terry_loss
from training.core.reward.objective import PairLoss
from training.core.reward.plackett_luce import plackett_luce_loss

__all__ = ["RankingBatch", "ranking_batch", "ranking_loss"]


@dataclass(frozen=True)
class Ranking:
    """The rows of K answers, their levels (1 the best), and the label's weight. A pair that is part of no ranking
    has its `preference` in place of levels."""

    rows: list[tuple[int, ...]]
    levels: tuple[int, ...]
    weight: float
    preference: float | None = None


@dataclass(frozen=True)
class RankingBatch:
    """Token rows to score, one ranking after the other, and the rankings; `weight` is (B,)."""

    rows: list[tuple[int, ...]]
    rankings: list[Ranking]
    weight: Tensor


def ranking_batch(elements: Sequence[Element]) -> RankingBatch:
    rankings = [_ranking(element) for element in elements]
    return RankingBatch(
        [row for ranking in rankings for row in ranking.rows],
        rankings,
        torch.tensor([ranking.weight for ranking in rankings], dtype=torch.float32),
    )


def ranking_loss(scores: Tensor, batch: RankingBatch, *, centering: float) -> PairLoss:
    """The loss (B,) of each ranking from the scores (N,) of the batch's rows; `correct` (B,) is the share of its
    untied pairs whose scores are in order (1 where all are tied).

    A pair that is part of none has the loss of Bradley-Terry, soft labels too. The centering penalty is
    4 c mean(s)^2, which is c (s_0 + s_1)^2 of a pair.
    """
    parts = torch.split(scores, [len(ranking.rows) for ranking in batch.rankings])
    loss = torch.stack(
        [_loss(s, ranking) for s, ranking in zip(parts, batch.rankings, strict=True)]
    )
    middle = torch.stack([part.mean() for part in parts])
    correct = [_in_order(s.detach(), r) for s, r in zip(parts, batch.rankings, strict=True)]
    return PairLoss(loss + 4 * centering * middle**2, torch.stack(correct))


def _ranking(element: Element) -> Ranking:
    """The shortest encoding of each text: it is the one beside the longest text, and all of these stand behind the
    same tokens of the prompt, however much of it was cut off."""
    first = element[0]
    if first.row.part is None:
        levels = (1, 2) if first.row.preference >= 0.5 else (2, 1)
        rows = [first.first.ids, first.second.ids]
        return Ranking(rows, levels, first.row.weight, first.row.preference)
    rows_of: dict[str, tuple[int, ...]] = {}
    level_of: dict[str, int] = {}
    for pair in element:
        for text, ids, level in _answers(pair):
            known = rows_of.get(text)
            rows_of[text] = ids if known is None or len(ids) < len(known) else known
            level_of[text] = level
    # each of the K (K - 1) / 2 pairs has 1 / (K - 1) of the weight
    weight = first.row.weight * (first.row.part.answers - 1)
    return Ranking(list(rows_of.values()), tuple(level_of.values()), weight)


def _answers(pair: EncodedPair) -> list[tuple[str, tuple[int, ...], int]]:
    assert pair.row.part is not None
    ids = (pair.first.ids, pair.second.ids)
    return list(zip(pair.row.completions, ids, pair.row.part.levels, strict=True))


def _loss(scores: Tensor, ranking: Ranking) -> Tensor:
    if ranking.preference is None:
        return plackett_luce_loss([scores], [ranking.levels])[0]
    p = scores.new_tensor(ranking.preference)
    return bradley_terry_loss(scores[0] - scores[1], p, torch.zeros_like(p))


def _in_order(scores: Tensor, ranking: Ranking) -> Tensor:
    levels = torch.tensor(ranking.levels, device=scores.device)
    better = levels[:, None] < levels[None, :]
    right = (scores[:, None] > scores[None, :])[better]
    return right.float().mean() if len(right) else scores.new_tensor(1.0)
