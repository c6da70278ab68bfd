"""Cutting a batch of prompts and responses into tight rectangles, and putting results together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["SequenceBatch", "length_buckets", "pack_sequences", "pass_overhead", "response_mask"]

CALL_OVERHEAD_TOKENS = 256
"""What one more forward pass costs beside its tokens, in tokens; it keeps buckets from crumbling."""

GPU_OVERHEAD_TOKENS = 2048
"""The same on a GPU, which computes that many tokens while the calls of a pass are made: a packed step of
1 B weights makes 1,875 calls of some 30 microseconds, and a token takes 20 (H200); smaller ones wait longer."""


class SequenceBatch(NamedTuple):
    """B sequences of T positions, each moved to the right end, so that padding is on the left only.

    input_ids, attention_mask (1 on real tokens) and position_ids are [B, T]; responses and mask (True
    on response tokens) are the last R columns, [B, R], R being the longest response.
    """

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    responses: Tensor
    mask: Tensor


def response_mask(lengths: Sequence[int], *, device: torch.device) -> Tensor:
    """[B, R] boolean, True on the last `lengths[b]` columns of row b; R is the longest response."""
    begins = max(lengths) - torch.tensor(lengths, device=device)
    return torch.arange(max(lengths), device=device)[None] >= begins[:, None]


def pack_sequences(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    pad_id: int,
    device: torch.device,
) -> SequenceBatch:
    """One rectangle, trimmed to its longest prompt with response.

    Right alignment makes it narrower than the longest prompt beside the longest response would be.
    Positions count real tokens, cumsum(mask) - 1, so that padding moves no token (Huang 2024,
    detail 4).
    """
    lengths = [len(response) for response in responses]
    width = max(len(prompt) + length for prompt, length in zip(prompts, lengths, strict=True))
    ids = np.full((len(prompts), width), pad_id, dtype=np.int64)
    real = np.zeros_like(ids)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        begin, middle = width - len(prompt) - len(response), width - len(response)
        ids[row, begin:middle] = prompt
        ids[row, middle:] = response
        real[row, begin:] = 1
    positions = np.maximum(real.cumsum(1) - 1, 0)
    input_ids, attention_mask, position_ids = (
        torch.from_numpy(table).to(device) for table in (ids, real, positions)
    )
    tail = input_ids[:, width - max(lengths) :]
    mask = response_mask(lengths, device=device)
    return SequenceBatch(input_ids, attention_mask, position_ids, tail, mask)


def pass_overhead(device: torch.device, *, on_cpu: int = CALL_OVERHEAD_TOKENS) -> int:
    """What one more forward pass costs on a device beside its tokens, in tokens."""
    return on_cpu if device.type == "cpu" else GPU_OVERHEAD_TOKENS


def length_buckets(
    lengths: Sequence[int],
    *,
    size: int,
    packed: bool = False,
    overhead: int = CALL_OVERHEAD_TOKENS,
) -> list[list[int]]:
    """Row numbers in groups of at most `size` that cost least when each is padded to a rectangle.

    Rows are sorted by length and cut by dynamic programming; a group of n rows costs n times its
    longest row, and `overhead` tokens once. Where padding costs nothing (`packed`), groups are as
    large as they may be.
    """
    sizes = np.asarray(lengths)
    order = sizes.argsort(kind="stable")
    if packed:
        return [order[start : start + size].tolist() for start in range(0, len(order), size)]
    best = np.full(len(order) + 1, np.inf)
    best[0], cut = 0.0, np.zeros(len(order) + 1, dtype=np.int64)
    for end in range(1, len(order) + 1):
        first = max(0, end - size)
        rectangle = (end - np.arange(first, end)) * sizes[order[end - 1]]
        cost = best[first:end] + rectangle + overhead
        choice = int(cost.argmin())
        best[end], cut[end] = cost[choice], first + choice
    groups: list[list[int]] = []
    end = len(order)
    while end:
        groups.append([int(row) for row in order[cut[end] : end]])
        end = int(cut[end])
    return groups[::-1]
