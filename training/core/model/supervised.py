"""The loss of writing what was shown: cross-entropy over the assistant's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from training.core.data.batches import pad
from training.core.data.conversations import Encoded

__all__ = ["TokenLoss", "assistant_loss"]


class TokenLoss(NamedTuple):
    """`total`: summed cross-entropy in nats over `tokens` trained tokens."""

    total: Tensor
    tokens: int


def assistant_loss(model: nn.Module, batch: Sequence[Encoded], pad_id: int) -> TokenLoss:
    """Cross-entropy of the assistant's tokens, each given all that stands before it."""
    padded = pad([e.ids for e in batch], pad_id)
    trained = pad([e.trained for e in batch], 0).ids.bool()[:, 1:]
    device = next(model.parameters()).device
    logits = model(
        input_ids=padded.ids.to(device), attention_mask=padded.mask.long().to(device)
    ).logits
    targets = padded.ids[:, 1:][trained].to(device)
    chosen = logits[:, :-1][trained.to(device)].float()
    return TokenLoss(functional.cross_entropy(chosen, targets, reduction="sum"), len(targets))
