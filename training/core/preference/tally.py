"""Sums over pairs that can be added up over chunks and processes, and the means made of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.core.preference.log_ratios import LogProbs
from training.core.preference.losses import PairLosses

__all__ = ["SUMS", "tally", "tally_means"]

SUMS = ("loss", "margin", "correct", "decided", "chosen", "rejected", "weight")
"""`decided` is the weight of pairs without a tie; all but `loss` and `weight` are sums over those."""

EVEN = 1e-5
"""A margin below this is rounding: such a pair counts as half told apart, as at the very start."""


@torch.no_grad()
def tally(found: PairLosses, ratios: LogProbs, preference: Tensor, weights: Tensor) -> Tensor:
    """`SUMS` (7,) in float64 on the CPU, each pair times its weight; all arguments are (B,).

    `margin` and `correct` are towards the preferred completion; "chosen" and "rejected" are log-ratios.
    """
    first = preference > 0.5
    decided = weights * (preference != 0.5)
    margin = torch.where(first, found.margin, -found.margin)
    correct = torch.where(margin.abs() < EVEN, 0.5, (margin > 0).to(margin.dtype))
    chosen = torch.where(first, ratios.first, ratios.second)
    rejected = torch.where(first, ratios.second, ratios.first)
    columns = (
        found.loss * weights,
        margin * decided,
        correct * decided,
        decided,
        chosen * decided,
        rejected * decided,
        weights,
    )
    return torch.stack([column.double().sum().cpu() for column in columns])


def tally_means(sums: Sequence[float], prefix: str = "") -> dict[str, float | None]:
    """The mean loss and, over pairs without a tie, of the implicit rewards; empty without a pair."""
    found = dict(zip(SUMS, sums, strict=True))
    if not found["weight"] > 0:
        return {}
    row: dict[str, float | None] = {f"{prefix}loss": found["loss"] / found["weight"]}
    for name, key in (
        ("implicit_accuracy", "correct"),
        ("implicit_margin", "margin"),
        ("chosen_log_ratio", "chosen"),
        ("rejected_log_ratio", "rejected"),
    ):
        row[prefix + name] = found[key] / found["decided"] if found["decided"] > 0 else None
    return row
