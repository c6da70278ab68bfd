"""What a run that trains a policy carries over from one attempt to the next, beside weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from training.core.run.throughput import Throughput
from training.core.tuning.checkpoint_selection import CheckpointSelection

__all__ = ["PHASES", "TrainingProgress"]

PHASES = ("rollout", "score", "train")


@dataclass
class TrainingProgress:
    """Plain values and tensors, and parts that turn into such; a recipe adds its own fields.

    `PARTS` names what turns into a state by `to_state`, each with the way back. A checkpoint calls
    `throughput` "pace", as the first release did, so that a run begun then can still be resumed.
    """

    PARTS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "throughput": Throughput.from_state,
        "kept": CheckpointSelection.from_state,
    }

    stopped_by: str = ""
    throughput: Throughput = field(default_factory=lambda: Throughput.start(PHASES))
    kept: CheckpointSelection = field(default_factory=CheckpointSelection)

    def to_state(self) -> dict[str, Any]:
        state = vars(self) | {name: getattr(self, name).to_state() for name in self.PARTS}
        state["pace"] = state.pop("throughput")
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        state = {**state}
        state["throughput"] = state.pop("pace")
        return cls(**state | {name: back(state[name]) for name, back in cls.PARTS.items()})
