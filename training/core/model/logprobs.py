"""Log-probabilities of tokens without ever holding a full-vocabulary table in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

__all__ = ["TokenStatistics", "chunk_rows", "token_log_probs", "token_statistics"]

CHUNK_ELEMENTS = 1 << 23
"""Logits turned to fp32 at a time (32 MiB): small vocabularies take one step, large ones several."""

CACHED_ELEMENTS = 1 << 18
"""The same on a CPU (1 MiB): the piece stays in a core's cache while one operator after another reads it."""


class TokenStatistics(NamedTuple):
    """Per position, both [B, R] in fp32: log-probability of the token taken, entropy in nats."""

    log_probs: Tensor
    entropy: Tensor


def chunk_rows(table: Tensor) -> Iterator[slice]:
    """Slices over the rows of a [rows, vocabulary] table, in pieces that suit its device.

    Each row is worked out by itself: the pieces change no result.
    """
    rows, vocabulary = table.shape
    size = max(1, (CACHED_ELEMENTS if table.is_cpu else CHUNK_ELEMENTS) // vocabulary)
    return (slice(start, min(rows, start + size)) for start in range(0, rows, size))


class _TokenLogProbs(torch.autograd.Function):
    """log softmax(z / T)[y]; the backward pass recomputes the softmax instead of storing it.

    d log p_y / d z_j = (1[j = y] - p_j) / T.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
        normaliser = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
        taken = torch.empty_like(normaliser)
        for rows in chunk_rows(logits):
            scaled = _scaled(logits[rows], temperature)
            normaliser[rows] = scaled.logsumexp(-1)
            taken[rows] = scaled.gather(1, targets[rows, None])[:, 0]
        ctx.save_for_backward(logits, targets, normaliser)
        ctx.temperature = temperature
        return taken.sub_(normaliser)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, normaliser = ctx.saved_tensors
        upstream = grads[0].float() / ctx.temperature
        result = torch.empty_like(logits)
        for rows in chunk_rows(logits):
            direct = result.dtype == torch.float32
            table = result[rows] if direct else torch.empty_like(logits[rows], dtype=torch.float32)
            torch.sub(_scaled(logits[rows], ctx.temperature), normaliser[rows, None], out=table)
            table.exp_().mul_(-upstream[rows, None])
            table.scatter_add_(1, targets[rows, None], upstream[rows, None])
            if not direct:
                result[rows] = table
        return result, None, None


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    """logits / temperature in fp32; the very table where both are so already: no pass for nothing."""
    wide = logits.float()
    return wide if temperature == 1.0 else wide / temperature


def token_log_probs(logits: Tensor, tokens: Tensor, *, temperature: float = 1.0) -> Tensor:
    """log softmax(logits / temperature) at `tokens`, with a gradient towards `logits`.

    Shapes: logits [B, R, V] in any float type, tokens [B, R] -> [B, R] in fp32.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    result = _TokenLogProbs.apply(flat, tokens.reshape(-1), temperature)  # type: ignore[no-untyped-call]
    return cast(Tensor, result).view(tokens.shape)


@torch.no_grad()
def token_statistics(logits: Tensor, tokens: Tensor, *, temperature: float) -> TokenStatistics:
    """Log-probability of `tokens` and entropy of softmax(logits / temperature), from one softmax.

    Shapes: logits [B, R, V], tokens [B, R] -> two times [B, R] in fp32. No gradient. The first is to the
    last bit what `token_log_probs` gives: KL of equal networks and log-ratios before a step are 0.
    """
    flat, targets = logits.reshape(-1, logits.shape[-1]), tokens.reshape(-1)
    log_probs = torch.empty(len(flat), dtype=torch.float32, device=flat.device)
    entropy = torch.empty_like(log_probs)
    for rows in chunk_rows(flat):
        scaled = _scaled(flat[rows], temperature)
        table = scaled - scaled.logsumexp(-1, keepdim=True)
        log_probs[rows] = table.gather(1, targets[rows, None])[:, 0]
        entropy[rows] = -(table.exp() * table).nan_to_num(0.0).sum(-1)
    return TokenStatistics(log_probs.view(tokens.shape), entropy.view(tokens.shape))
