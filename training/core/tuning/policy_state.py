"""What a checkpoint holds of a policy that is tuned: what its optimiser moves, and that optimiser."""

from __future__ import annotations

from typing import Any

from torch import nn

from training.core.model.lora import trainable_parameters
from training.core.sharding import gathered, optimizer_load
from training.core.tuning.checkpoint_selection import weights_load

__all__ = ["policy_state", "policy_state_restore"]


def policy_state(model: nn.Module, optimizer: Any, progress: dict[str, Any]) -> dict[str, Any]:
    """All of the trained weights, or those of the adapter; `progress` is the recipe's own.

    Whole on the main process, which writes; where `model` is sharded, every process must call it.
    """
    state = {
        "weights": [parameter.detach() for parameter in trainable_parameters(model)],
        "optimizer": optimizer.state_dict(),
        "progress": progress,
    }
    return dict(gathered(state))


def policy_state_restore(model: nn.Module, optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Put weights and moments back, and return the recipe's progress."""
    weights_load(trainable_parameters(model), state["weights"])
    optimizer_load(optimizer, state["optimizer"])
    progress: dict[str, Any] = state["progress"]
    return progress
