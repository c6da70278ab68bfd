"""Reward-model losses as pure functions, and the one forward pass that scores texts.

Shapes: every argument is (B,), one entry per pair of completions 0 and 1. `preference` is the
probability that completion 0 is the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.core.batches import pad


class PairLoss(NamedTuple):
    """loss (B,): one loss per pair; correct (B,) bool: the higher score is on the preferred side."""

    loss: Tensor
    correct: Tensor


def smoothed(preference: Tensor, label_smoothing: float) -> Tensor:
    """p (1 - e) + (1 - p) e: with probability e the label is taken to be turned round."""
    return preference * (1 - label_smoothing) + (1 - preference) * label_smoothing


def margin_of(strength: Tensor, margin_scale: float) -> Tensor:
    """m = margin_scale * |strength - 4|: 0 for a tie, 3 steps for "much better" (Llama 2, 2023)."""
    return margin_scale * (strength - 4.0).abs()


def bradley_terry_loss(difference: Tensor, preference: Tensor, margin: Tensor) -> Tensor:
    """-p log sigmoid(d - m) - (1 - p) log sigmoid(-d - m), with d = r_0 - r_1; (B,).

    With p = 1 and m = 0 this is -log sigmoid(r_chosen - r_rejected) (Bradley and Terry 1952; Ouyang
    2022, Eq. 1); a tie is p = 1/2; the margin is that of Llama 2 (Touvron 2023, Eq. 2).
    """
    for_first = functional.logsigmoid(difference - margin)
    for_second = functional.logsigmoid(-difference - margin)
    return -(preference * for_first + (1 - preference) * for_second)


def centering_penalty(first: Tensor, second: Tensor, coefficient: float) -> Tensor:
    """c (r_0 + r_1)^2: holds the free offset of the scores near 0 (Eisenstein 2023); (B,)."""
    return coefficient * (first + second) ** 2


def pair_loss(
    first: Tensor,
    second: Tensor,
    preference: Tensor,
    strength: Tensor,
    *,
    label_smoothing: float = 0.0,
    margin_scale: float = 0.0,
    centering: float = 0.0,
) -> PairLoss:
    """The whole loss per pair from the two scores (B,)."""
    difference = first - second
    target = smoothed(preference, label_smoothing)
    loss = bradley_terry_loss(difference, target, margin_of(strength, margin_scale))
    loss = loss + centering_penalty(first, second, centering)
    return PairLoss(loss, (difference > 0) == (preference > 0.5))


def score_rows(model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Raw scores (N,) of token rows in one right-padded forward pass; gradients flow."""
    batch = pad(rows, pad_id)
    device = next(model.parameters()).device
    output = model(
        input_ids=batch.ids.to(device), attention_mask=batch.mask.long().to(device)
    ).logits
    return torch.as_tensor(output).squeeze(-1).float()
