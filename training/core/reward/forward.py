"""The one forward pass that scores texts. What is made of the scores: `training.core.reward`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForSequenceClassification

from training.core.data.batches import pad
from training.core.data.sequences import length_buckets, pass_overhead
from training.core.packed.llama import pack_rows, packable, packed_hidden

_OVERHEAD = 48  # what one more pass costs a model of some 10 million weights, in tokens


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
        return _packed_pass(model, rows, pad_id)
    overhead = pass_overhead(next(model.parameters()).device, on_cpu=_OVERHEAD)
    buckets = length_buckets([len(row) for row in rows], size=len(rows), overhead=overhead)
    scores = torch.cat([_one_pass(model, [rows[i] for i in bucket], pad_id) for bucket in buckets])
    order = torch.tensor([i for bucket in buckets for i in bucket], device=scores.device)
    return scores[order.argsort()]


def _one_pass(model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    batch = pad(rows, pad_id)
    device = next(model.parameters()).device
    output = model(
        input_ids=batch.ids.to(device), attention_mask=batch.mask.long().to(device)
    ).logits
    return torch.as_tensor(output).squeeze(-1).float()


def _packed_pass(
    model: LlamaForSequenceClassification, rows: Sequence[Sequence[int]], pad_id: int
) -> Tensor:
    """The head reads the last real token of each row."""
    batch = pad(rows, pad_id)
    device = model.score.weight.device
    tokens = pack_rows(batch.ids.to(device), batch.mask.to(device))
    hidden = packed_hidden(model.model, tokens, tokens.numbers[:, -1])
    return functional.linear(hidden, model.score.weight).squeeze(-1).float()
