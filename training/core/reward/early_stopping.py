"""Early stopping on the likelihood of validation pairs, with the best weights kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["BestWeights"]


@dataclass
class BestWeights:
    """The weights with the least validation NLL so far, and how many measurements ago that was.

    Its `state` belongs to the checkpoint, so that a resumed training stops at the same step with
    the same weights as an undisturbed one.
    """

    patience: int
    nll: float = math.inf
    step: int = 0
    worse: int = 0  # measurements since the best one
    weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        return self.worse >= self.patience

    def observe(self, step: int, nll: float, weights: dict[str, Tensor]) -> bool:
        """Take a measurement in; true where it is the best one, whose `weights` are copied."""
        if nll < self.nll:
            self.nll, self.step, self.worse = nll, step, 0
            self.weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
            return True
        self.worse += 1
        return False

    def state(self) -> dict[str, Any]:
        # JSON has no infinity, and a checkpoint may come before the first measurement.
        nll = self.nll if math.isfinite(self.nll) else None
        return {"nll": nll, "step": self.step, "worse": self.worse, "weights": self.weights}

    def restore(self, state: dict[str, Any]) -> None:
        self.nll = math.inf if state["nll"] is None else state["nll"]
        self.step, self.worse, self.weights = state["step"], state["worse"], state["weights"]
