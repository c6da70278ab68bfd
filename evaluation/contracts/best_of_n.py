"""What choosing the best of n by the reward model is worth, by that model and by the held-out one."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.contracts.intervals import Interval
from training.contracts import JsonContract


@dataclass(frozen=True)
class BestOfNPoint(JsonContract):
    """The expected rewards (z) of the best of `n` completions by the training reward model.

    Best-of-n lies at most `kl_bound` = log n - (n - 1) / n nats from the policy that wrote them.
    `held_out_step` is the held-out reward less that at the n before, paired by prompt; None at the first.
    """

    n: int
    kl_bound: float
    train: Interval
    held_out: Interval
    held_out_step: Interval | None = None


@dataclass(frozen=True)
class BestOfNCurve(JsonContract):
    """Best of 1, 2, 4 ... `completions` of the reference policy on `prompts`, each of another group.

    Every point is the unbiased estimate from the same completions (Nakano 2021, appendix I).
    """

    prompts: int
    completions: int
    points: tuple[BestOfNPoint, ...]
