"""What the KL penalty costs: a fixed price, or one that steers towards a target."""

from __future__ import annotations

from training.contracts import KlControl

__all__ = ["next_beta"]

ERROR_LIMIT = 0.2


def next_beta(beta: float, *, control: KlControl, sequence_kl: float, sequences: int) -> float:
    """The coefficient for the next update, from this update's mean KL per sequence in nats.

    "fixed" gives `beta` back. "adaptive" is the proportional controller of Ziegler 2019, section 2.2:
    beta (1 + clip(KL / target - 1, -0.2, 0.2) * sequences / horizon). An update counts as one horizon at most,
    so that a step is a fifth at most and beta, a price, stays above 0 whatever the settings and the estimate.
    """
    if control.kind == "fixed":
        return beta
    error = min(max(sequence_kl / control.target - 1, -ERROR_LIMIT), ERROR_LIMIT)
    return beta * (1 + error * min(1.0, sequences / control.horizon))
