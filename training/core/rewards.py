"""The one forward pass that scores texts. What is made of the scores: `training.core.reward`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.core.batches import pad


def score_rows(model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Raw scores (N,) of token rows in one right-padded forward pass; gradients flow."""
    batch = pad(rows, pad_id)
    device = next(model.parameters()).device
    output = model(
        input_ids=batch.ids.to(device), attention_mask=batch.mask.long().to(device)
    ).logits
    return torch.as_tensor(output).squeeze(-1).float()
