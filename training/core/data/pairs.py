"""Preferences, encoded and divided: who may learn from which groups.

A group is a root conversation. It stands on one side of the split only, and the held-out reward model
learns from groups that the members of the training reward model never see. Which side a group is on
is a hash of its name alone, so it stays there in every later round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from annotation.rows import PreferenceRow
from training.contracts import Truncation
from training.core.data.conversations import Encoded, completions_encode
from training.core.data.fitting import FittedRows
from training.core.data.tokenizers import encode, harmless
from training.core.run.errors import UserError


@dataclass(frozen=True)
class EncodedPair:
    """One encoded comparison; `lengths` are tokens of the two completions before any cutting.

    `tie_share` is the share of ties among the votes that were made one label; None: a single vote.
    """

    row: PreferenceRow
    first: Encoded
    second: Encoded
    lengths: tuple[int, int]
    tie_share: float | None = None

    @property
    def ties(self) -> float:
        """How far the label is a tie: 0 or 1 for a single vote."""
        return float(self.row.tie) if self.tie_share is None else self.tie_share

    @property
    def longest(self) -> int:
        return max(len(self.first.ids), len(self.second.ids))

    @property
    def cut(self) -> int:
        return self.first.cut + self.second.cut


class Labels(NamedTuple):
    """What N pairs were judged to be, each (N,) float32.

    P(0 better) with ties as half, strength 1..7, the share of ties in it, the label's weight, and how many
    tokens completion 0 is longer.
    """

    preference: Tensor
    strength: Tensor
    tie_share: Tensor
    weight: Tensor
    length_difference: Tensor

    def to(self, device: torch.device) -> Labels:
        return Labels(*(label.to(device) for label in self))


@dataclass(frozen=True)
class Division:
    """`train` and `validation` are disjoint in groups from `held_out` and `held_out_validation`."""

    train: list[EncodedPair]
    validation: list[EncodedPair]
    held_out: list[EncodedPair]
    held_out_validation: list[EncodedPair]
    test: list[EncodedPair]

    def counts(self) -> dict[str, int]:
        return {name: len(pairs) for name, pairs in vars(self).items()}


def group_held_out(group: str, share: float) -> bool:
    """Whether a group belongs to the held-out reward model: a hash of its name, below `share`."""
    digest = hashlib.sha256(f"held-out reward model\n{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def pair_encode(
    tokenizer: PreTrainedTokenizerBase,
    row: PreferenceRow,
    max_length: int,
    truncation: Truncation = "oldest_turns",
) -> EncodedPair | None:
    """Both completions behind the same tokens of their prompt; None where the pair is to be dropped."""
    encoded = completions_encode(
        tokenizer, row.messages, row.completions, max_length=max_length, truncation=truncation
    )
    if encoded is None:
        return None
    first, second = (len(encode(tokenizer, harmless(tokenizer, c))) for c in row.completions)
    return EncodedPair(row, encoded[0], encoded[1], (first, second))


def pairs_encode(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[PreferenceRow],
    *,
    max_length: int,
    truncation: Truncation,
) -> FittedRows[EncodedPair]:
    """Every pair that fits; raises `UserError` with the id of a row that the chat template refuses."""
    return FittedRows.of(
        rows,
        lambda row: pair_encode(tokenizer, row, max_length, truncation),
        name=lambda _, row: f"The pair {row.id!r}",
        cut=lambda pair: pair.cut > 0,
        alike=_alike,
        max_length=max_length,
    )


def _alike(pair: EncodedPair) -> bool:
    """Two texts that are the same tokens: their label would contradict itself. One text twice is a tie."""
    texts = pair.row.completions
    return pair.first.ids == pair.second.ids and texts[0] != texts[1]


def labels_of(pairs: Sequence[EncodedPair]) -> Labels:
    def column(value: Callable[[EncodedPair], float]) -> Tensor:
        return torch.tensor([value(p) for p in pairs], dtype=torch.float32)

    return Labels(
        preference=column(lambda p: p.row.preference),
        strength=column(lambda p: p.row.strength),
        tie_share=column(lambda p: p.ties),
        weight=column(lambda p: p.row.weight),
        length_difference=column(lambda p: p.lengths[0] - p.lengths[1]),
    )


def pairs_divide(pairs: Sequence[EncodedPair], held_out_share: float) -> Division:
    """Divide by split and by `group_held_out`; a group on two sides is an error."""
    _check_groups(pairs)

    def chosen(split: str, held_out: bool) -> list[EncodedPair]:
        return [
            p
            for p in pairs
            if p.row.split == split and group_held_out(p.row.group, held_out_share) == held_out
        ]

    division = Division(
        train=chosen("train", held_out=False),
        validation=chosen("validation", held_out=False),
        held_out=chosen("train", held_out=True),
        held_out_validation=chosen("validation", held_out=True),
        test=[p for p in pairs if p.row.split == "test"],
    )
    _check_sizes(division, held_out_share)
    return division


def _check_groups(pairs: Sequence[EncodedPair]) -> None:
    sides: dict[str, str] = {}
    for pair in pairs:
        split = sides.setdefault(pair.row.group, pair.row.split)
        if split != pair.row.split:
            raise UserError(
                f"The group {pair.row.group!r} is in both {split!r} and {pair.row.split!r}; "
                "every group must stand on one side of the split."
            )


def _check_sizes(division: Division, held_out_share: float) -> None:
    for name, pairs in (("members", division.train), ("held-out model", division.held_out)):
        if not sum(p.row.weight for p in pairs) > 0:
            raise UserError(
                f"There are no training pairs for the {name} of the reward: the "
                f"{held_out_share:.0%} held-out share divides whole groups, so label more groups."
            )
