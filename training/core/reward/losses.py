"""Bradley-Terry, margins, smoothing, updated labels and centering as pure functions on pairs of scores.

Shapes: every argument is (B,), one entry per pair of completions 0 and 1. `preference` is the
probability that completion 0 is the better one, a tie counting one half.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

__all__ = [
    "bradley_terry_loss",
    "centering_penalty",
    "margin_of",
    "smoothed",
    "updated",
]

TIE = 4.0  # the middle of the scale 1..7 in slot order


def smoothed(preference: Tensor, label_smoothing: float) -> Tensor:
    """p (1 - e) + (1 - p) e: with probability e the label is taken to be turned round."""
    return preference * (1 - label_smoothing) + (1 - preference) * label_smoothing


def updated(preference: Tensor, difference: Tensor, rate: float) -> Tensor:
    """p (1 - b) + b sigmoid(r_0 - r_1): what the model says becomes part of the label.

    Iterative data smoothing (Zhu 2024, arXiv 2401.16335, algorithm 1), after each epoch. A label that the
    rest of the data contradicts, or that was given once to a rare pair, loses its pull before it is learned
    by heart.
    """
    return preference * (1 - rate) + rate * difference.sigmoid()


def margin_of(strength: Tensor, margins: Sequence[float]) -> Tensor:
    """The margin that a strength asks for: 0 for a tie, then `margins` = slightly, better, much.

    Touvron 2023 (Llama 2, Sec. 3.2.2) maps four steps to 0, 1/3, 2/3, 1 or to 0, 1, 2, 3; the seven
    steps here are those four, either way round. Between steps (the mean of several votes) the
    margin is interpolated linearly.
    """
    knots = strength.new_tensor([0.0, *margins])
    steps = (strength - TIE).abs()
    below = steps.floor().clamp(max=len(margins) - 1).long()
    low, high = knots[below], knots[below + 1]
    return low + (steps - below) * (high - low)


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
