"""Batches by length, as a pure function of (seed, epoch): a resume needs no loader state."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_POOL = 16  # batches that are sorted together: short padding, yet a good mixture


def length_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """Indices of one epoch in batches of similar length, in random order.

    Every index occurs once; only the last batch of a pool may be smaller.
    """
    order = list(range(len(lengths)))
    generator = random.Random(f"{seed}/{epoch}")
    generator.shuffle(order)
    batches = []
    for start in range(0, len(order), batch_size * _POOL):
        pool = sorted(order[start : start + batch_size * _POOL], key=lambda i: lengths[i])
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    generator.shuffle(batches)
    return batches


def batches_from(
    lengths: Sequence[int], batch_size: int, *, seed: int, start: int, stop: int
) -> Iterator[list[int]]:
    """The batches of steps start..stop-1 of an endless sequence of epochs."""
    per_epoch = len(length_batches(lengths, batch_size, seed=seed, epoch=0))
    epoch, batches = -1, list[list[int]]()
    for step in range(start, stop):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            batches = length_batches(lengths, batch_size, seed=seed, epoch=epoch)
        yield batches[step % per_epoch]


def sorted_batches(lengths: Sequence[int], batch_size: int, *, tokens: int = 0) -> list[list[int]]:
    """Indices in batches of similar length, longest first (memory trouble shows at once).

    With `tokens` a batch also has at most so many, padding counted, or is a single row.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches, start = list[list[int]](), 0
    while start < len(order):
        fitting = max(1, tokens // max(1, lengths[order[start]])) if tokens else batch_size
        end = start + min(batch_size, fitting)
        batches.append(order[start:end])
        start = end
    return batches


class Padded(NamedTuple):
    """ids (B, T) int64; mask (B, T) bool, true for real tokens."""

    ids: Tensor
    mask: Tensor

    @property
    def position_ids(self) -> Tensor:
        """(B, T): 0 at the first real token, whatever the padding before it."""
        return (self.mask.long().cumsum(-1) - 1).clamp_min(0)


def pad(rows: Sequence[Sequence[int]], pad_id: int, *, side: str = "right") -> Padded:
    """Stack token lists of different lengths, padded on the "left" or the "right"."""
    width = max((len(row) for row in rows), default=0)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[i, where] = torch.tensor(row, dtype=torch.long)
        mask[i, where] = True
    return Padded(ids, mask)
