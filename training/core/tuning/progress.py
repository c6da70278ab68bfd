"""What a run that trains a policy carries over from one attempt to the next, beside weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from training.core.run.throughput import Pace
from training.core.tuning.checkpoint_selection import KeptPolicy

__all__ = ["PHASES", "Progress"]

PHASES = ("rollout", "score", "train")


@dataclass
class Progress:
    """Plain values and tensors, and parts that turn into such; a recipe adds its own fields.

    `PARTS` names what turns into a state by `to_state`, each with the way back.
    """

    PARTS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "pace": Pace.from_state,
        "kept": KeptPolicy.from_state,
    }

    stopped_by: str = ""
    pace: Pace = field(default_factory=lambda: Pace.start(PHASES))
    kept: KeptPolicy = field(default_factory=KeptPolicy)

    def to_state(self) -> dict[str, Any]:
        return vars(self) | {name: getattr(self, name).to_state() for name in self.PARTS}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state | {name: back(state[name]) for name, back in cls.PARTS.items()})
