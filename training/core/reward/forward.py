"""The one forward pass that scores texts. What is made of the scores: `training.core.reward`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForSequenceClassification

from training.core.data.batches import pad
from training.core.data.sequences import length_buckets, pass_overhead
from training.core.model.score_head import head_of
from training.core.packed.llama import pack_rows, packable, packed_hidden

_OVERHEAD = 48  # what one more pass costs a model of some 10 million weights, in tokens


class ReadRows(NamedTuple):
    """scores (N,), and states (N, d): what the head made them of, the last real token's where it reads that one."""

    scores: Tensor
    states: Tensor


def score_rows(
    model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int, *, packed: bool = False
) -> Tensor:
    """Raw scores (N,) of token rows in one right-padded forward pass; gradients flow.

    `packed`: the same scores, to rounding, with little padding: in several passes over rows of like
    length, or, by a plain Llama, in one pass over real tokens only.
    """
    if not packed:
        return _one_pass(model, rows, pad_id)
    if type(model) is LlamaForSequenceClassification and packable(model.model):
        return _scored(model, _packed_states(model, rows, pad_id))
    return _in_buckets(model, rows, lambda part: _one_pass(model, part, pad_id))


def read_rows(
    model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int, *, packed: bool = False
) -> ReadRows:
    """The scores of `score_rows` with the states that they were made of, both in float32."""
    if packed and type(model) is LlamaForSequenceClassification and packable(model.model):
        states = _packed_states(model, rows, pad_id)
        return ReadRows(_scored(model, states), states.float())

    def read(part: Sequence[Sequence[int]]) -> Tensor:
        return _read_pass(model, part, pad_id)

    found = _in_buckets(model, rows, read) if packed else read(rows)
    return ReadRows(found[:, 0], found[:, 1:])


def _in_buckets(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    read: Callable[[Sequence[Sequence[int]]], Tensor],
) -> Tensor:
    """What `read` gives for rows of like length at a time, in the order given."""
    overhead = pass_overhead(next(model.parameters()).device, on_cpu=_OVERHEAD)
    buckets = length_buckets([len(row) for row in rows], size=len(rows), overhead=overhead)
    found = torch.cat([read([rows[i] for i in bucket]) for bucket in buckets])
    order = torch.tensor([i for bucket in buckets for i in bucket], device=found.device)
    return found[order.argsort()]


def _one_pass(model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    batch = pad(rows, pad_id)
    device = next(model.parameters()).device
    output = model(
        input_ids=batch.ids.to(device), attention_mask=batch.mask.long().to(device)
    ).logits
    return torch.as_tensor(output).squeeze(-1).float()


def _read_pass(model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """(N, 1 + d): each score, and what the head made it of."""
    seen = list[Tensor]()
    hook = head_of(model).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        scores = _one_pass(model, rows, pad_id)
    finally:
        hook.remove()
    states = seen[-1]
    if states.dim() == 3:  # a head that is asked at every token
        last = torch.tensor([len(row) - 1 for row in rows], device=states.device)
        states = states[torch.arange(len(rows), device=states.device), last]
    return torch.cat([scores[:, None], states.float()], 1)


def _packed_states(
    model: LlamaForSequenceClassification, rows: Sequence[Sequence[int]], pad_id: int
) -> Tensor:
    """The head reads the last real token of each row."""
    batch = pad(rows, pad_id)
    device = model.score.weight.device
    tokens = pack_rows(batch.ids.to(device), batch.mask.to(device))
    return packed_hidden(model.model, tokens, tokens.numbers[:, -1])


def _scored(model: LlamaForSequenceClassification, states: Tensor) -> Tensor:
    return functional.linear(states, model.score.weight).squeeze(-1).float()
