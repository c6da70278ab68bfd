"""What a run that trains a policy carries over from one attempt to the next, beside weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from torch import nn

from training.core.model.lora import trainable_parameters
from training.core.run.throughput import Throughput
from training.core.sharding import gathered, optimizer_load
from training.core.tuning.checkpoint_selection import CheckpointSelection, weights_load

__all__ = ["PHASES", "TrainingProgress", "policy_state", "policy_state_restore"]

PHASES = ("rollout", "score", "train")


@dataclass
class TrainingProgress:
    """Plain values and tensors, and parts that turn into such; a recipe adds its own fields.

    `step` counts what is checkpointed: PPO's updates, optimiser steps elsewhere. `PARTS` names what turns
    into a state by `to_state`, each with the way back. `STORED` are the names that the first release gave
    to fields in its checkpoints: a run begun then can still be resumed.
    """

    PARTS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "throughput": Throughput.from_state,
        "kept": CheckpointSelection.from_state,
    }
    STORED: ClassVar[Mapping[str, str]] = {"throughput": "pace"}

    stopped_by: str = "steps"
    step: int = 0
    throughput: Throughput = field(default_factory=lambda: Throughput.start(PHASES))
    kept: CheckpointSelection = field(default_factory=CheckpointSelection)

    def to_state(self) -> dict[str, Any]:
        state = vars(self) | {name: getattr(self, name).to_state() for name in self.PARTS}
        return {self.STORED.get(name, name): value for name, value in state.items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        names = {stored: name for name, stored in cls.STORED.items()}
        found = {names.get(name, name): value for name, value in state.items()}
        return cls(**found | {name: back(found[name]) for name, back in cls.PARTS.items()})


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
