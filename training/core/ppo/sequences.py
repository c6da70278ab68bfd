"""Cutting a batch of prompts and responses into tight rectangles, and putting results together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["SequenceBatch", "length_buckets", "pack_sequences", "response_mask"]

CALL_OVERHEAD_TOKENS = 384
"""What one more forward pass costs beside its tokens, in tokens; it keeps buckets from crumbling."""


class SequenceBatch(NamedTuple):
    """B sequences of P left-padded prompt and R right-padded response positions.

    input_ids, attention_mask (1 on real tokens) and position_ids are [B, P + R]; responses and mask
    (True on response tokens) are [B, R].
    """

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    responses: Tensor
    mask: Tensor


def response_mask(lengths: Sequence[int], width: int, *, device: torch.device) -> Tensor:
    """[B, width] boolean, True on the first `lengths[b]` positions of row b."""
    ends = torch.tensor(lengths, device=device)
    return torch.arange(width, device=device)[None] < ends[:, None]


def pack_sequences(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    pad_id: int,
    device: torch.device,
) -> SequenceBatch:
    """One rectangle, trimmed to its longest prompt and its longest response.

    Positions count real tokens, cumsum(mask) - 1, so that padding moves no token (Huang 2024,
    detail 4).
    """
    width = max(len(prompt) for prompt in prompts)
    length = max(len(response) for response in responses)
    ids = np.full((len(prompts), width + length), pad_id, dtype=np.int64)
    real = np.zeros_like(ids)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        start, end = width - len(prompt), width + len(response)
        ids[row, start:width] = prompt
        ids[row, width:end] = response
        real[row, start:end] = 1
    positions = np.maximum(real.cumsum(1) - 1, 0)
    input_ids, attention_mask, position_ids = (
        torch.from_numpy(table).to(device) for table in (ids, real, positions)
    )
    return SequenceBatch(
        input_ids,
        attention_mask,
        position_ids,
        input_ids[:, width:],
        attention_mask[:, width:].bool(),
    )


def length_buckets(
    prompt_lengths: Sequence[int], response_lengths: Sequence[int], *, size: int
) -> list[list[int]]:
    """Row numbers in groups of at most `size` that cost least when each is padded to a rectangle.

    Rows are sorted by response and prompt length and cut by dynamic programming; a group of n rows
    costs n times its longest prompt plus response, and `CALL_OVERHEAD_TOKENS` once.
    """
    prompts, responses = np.asarray(prompt_lengths), np.asarray(response_lengths)
    order = np.lexsort((prompts, responses))
    best = np.full(len(order) + 1, np.inf)
    best[0], cut = 0.0, np.zeros(len(order) + 1, dtype=np.int64)
    for end in range(1, len(order) + 1):
        first = max(0, end - size)
        widest = np.maximum.accumulate(prompts[order[first:end]][::-1])[::-1]
        width = widest + responses[order[end - 1]]
        cost = best[first:end] + (end - np.arange(first, end)) * width + CALL_OVERHEAD_TOKENS
        choice = int(cost.argmin())
        best[end], cut[end] = cost[choice], first + choice
    groups: list[list[int]] = []
    end = len(order)
    while end:
        groups.append([int(row) for row in order[cut[end] : end]])
        end = int(cut[end])
    return groups[::-1]
