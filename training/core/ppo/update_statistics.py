"""What one PPO update says of itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UpdateStatistics"]

_OF_CRITIC = {"value_loss", "value_clip_fraction", "value_grad_norm"}


@dataclass(frozen=True)
class UpdateStatistics:
    """Means over the optimiser steps of one update, over all processes."""

    optimizer_steps: int
    stopped_early: bool
    policy_loss: float
    value_loss: float
    clip_fraction: float
    value_clip_fraction: float
    approx_kl: float
    grad_norm: float
    value_grad_norm: float
    ptx_loss: float

    def to_row(self, *, with_ptx: bool, with_critic: bool) -> dict[str, float | None]:
        """The part of an update's event row that the optimiser knows."""
        row = {name: float(value) for name, value in vars(self).items()}
        left_out = set() if with_ptx else {"ptx_loss"}
        left_out |= set() if with_critic else _OF_CRITIC
        return {name: row[name] for name in row if name not in left_out}
