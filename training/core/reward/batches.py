"""What one optimiser step learns from: pairs one by one, or all pairs of a prompt together.

Ouyang 2022 (Eq. 1) trains on all C(K, 2) comparisons of one prompt as a single batch element with
the loss divided by their number: each of the K completions is encoded once, and no completion is
seen in several steps of an epoch, which overfits. With K = 2 it is the ordinary loss. Where the loss is that of
whole rankings, an element is one ranking, or a pair that is part of none.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.contracts import BatchBy, RewardLoss
from training.core.data.pairs import EncodedPair, Labels, labels_of

__all__ = ["Element", "PairBatch", "element_lengths", "elements_of", "pair_batch"]

Element = tuple[EncodedPair, ...]
_MOST = 66  # C(12, 2): a prompt with more pairs is several elements, so that memory stays bounded


@dataclass(frozen=True)
class PairBatch:
    """Token rows to score, and P pairs of them: `first` and `second` (P,) index the rows.

    The weight of a label is divided by the number of pairs of its element. The K (K - 1) / 2 pairs of a ranking
    count as K / 2 there, since their weights are already 1 / (K - 1) each.
    """

    rows: list[tuple[int, ...]]
    first: Tensor
    second: Tensor
    labels: Labels

    @property
    def weight(self) -> Tensor:
        return self.labels.weight


def elements_of(
    pairs: Sequence[EncodedPair], batch_by: BatchBy, loss: RewardLoss = "bradley_terry"
) -> list[Element]:
    """Batch elements in a stable order: one pair each, all pairs of one prompt, or all of one ranking."""
    if loss == "plackett_luce":
        return _grouped(pairs, lambda pair: pair.row.part.ranking if pair.row.part else pair.row.id)
    if batch_by == "pairs":
        return [(pair,) for pair in pairs]
    return _grouped(pairs, lambda p: tuple((m["role"], m["content"]) for m in p.row.messages))


def _grouped(pairs: Sequence[EncodedPair], key: Callable[[EncodedPair], Hashable]) -> list[Element]:
    groups: dict[Hashable, list[EncodedPair]] = {}
    for pair in pairs:
        groups.setdefault(key(pair), []).append(pair)
    return [
        tuple(group[start : start + _MOST])
        for group in groups.values()
        for start in range(0, len(group), _MOST)
    ]


def element_lengths(elements: Sequence[Element]) -> list[int]:
    """Tokens of the longest text of each element."""
    return [max(pair.longest for pair in element) for element in elements]


def pair_batch(elements: Sequence[Element]) -> PairBatch:
    """The rows and indices of a step; only a prompt of several pairs shares rows between them."""
    pairs = [pair for element in elements for pair in element]
    if all(len(element) == 1 for element in elements):
        rows = [p.first.ids for p in pairs] + [p.second.ids for p in pairs]
        first, second = torch.arange(2 * len(pairs)).chunk(2)
    else:
        rows, (first, second) = _shared_rows(pairs)
    labels = labels_of(pairs)
    sizes = torch.tensor([_size(element) for element in elements for _ in element])
    return PairBatch(rows, first, second, labels._replace(weight=labels.weight / sizes))


def _size(element: Element) -> float:
    """How many pairs the element counts as; one pair alone, of a ranking too, is one."""
    if len(element) == 1:
        return 1.0
    return sum(1 / (p.row.part.answers - 1) if p.row.part else 1.0 for p in element)


def _shared_rows(
    pairs: Sequence[EncodedPair],
) -> tuple[list[tuple[int, ...]], tuple[Tensor, Tensor]]:
    where: dict[tuple[int, ...], int] = {}
    index = [
        [where.setdefault(text.ids, len(where)) for text in (pair.first, pair.second)]
        for pair in pairs
    ]
    first, second = torch.tensor(index).unbind(1)
    return list(where), (first, second)
