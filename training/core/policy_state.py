"""What a checkpoint holds of a policy that is tuned: what its optimiser moves, and that optimiser."""

from __future__ import annotations

from typing import Any

from torch import nn

from training.core.kept_policy import weights_load
from training.core.lora import trainable_parameters

__all__ = ["policy_state", "policy_state_restore"]


def policy_state(model: nn.Module, optimizer: Any, progress: dict[str, Any]) -> dict[str, Any]:
    """All of the trained weights, or those of the adapter; `progress` is the recipe's own."""
    return {
        "weights": [parameter.detach() for parameter in trainable_parameters(model)],
        "optimizer": optimizer.state_dict(),
        "progress": progress,
    }


def policy_state_restore(model: nn.Module, optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Put weights and moments back, and return the recipe's progress."""
    weights_load(trainable_parameters(model), state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    progress: dict[str, Any] = state["progress"]
    return progress
