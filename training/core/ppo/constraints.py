"""A limit in place of a price: the price is what the limit asks for."""

from __future__ import annotations

from training.contracts import KlControl

__all__ = ["next_multiplier"]

EXCESS_LIMIT = 1.0
"""One update moves the price by no more than the rate, however far the policy ran."""


def next_multiplier(beta: float, *, control: KlControl, sequence_kl: float) -> float:
    """Dual ascent on the constraint KL <= target: max(0, beta + rate * (KL / target - 1)), the last clipped to
    [-1, 1]: an estimate of the KL may lie below 0.

    The Lagrangian of constrained PPO (Moskovitz 2023, arXiv 2310.04373, section 3), with KL to the reference
    as the constraint. Unlike the adaptive price it falls to 0 where the policy is within the limit, so that
    nothing then stands between it and the reward. `sequence_kl` is this update's mean, in nats.
    """
    excess = max(-EXCESS_LIMIT, min(sequence_kl / control.target - 1, EXCESS_LIMIT))
    return max(0.0, beta + control.rate * excess)
