"""A learning program's order, its progress and what it leaves: specs, events, manifests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from web.json_contract import ContractError, JsonContract, json_sha256

__all__ = [
    "EXIT_CANCELLED",
    "EXIT_ERROR",
    "EXIT_HELD",
    "EXIT_USER",
    "RECIPE_MODULES",
    "SCHEMA",
    "ArtifactKind",
    "ArtifactRef",
    "AttemptError",
    "InputRef",
    "Optimizer",
    "RunEvent",
    "RunKind",
    "RunManifest",
    "RunSpec",
]

SCHEMA = 1

EXIT_ERROR, EXIT_USER, EXIT_HELD, EXIT_CANCELLED = 1, 2, 75, 130
"""How a learning program ends where not with 0: bad input is 2, a directory of another attempt 75."""

RunKind = Literal[
    "sft",
    "reward_model",
    "ppo",
    "dpo",
    "best_of_n",
    "sample_pairs",
    "evaluate_reward_model",
    "evaluate_policy",
]

Optimizer = Literal["ppo", "dpo", "best_of_n"]
"""The recipes that make a candidate of a policy; each is a run kind."""

RECIPE_MODULES: dict[str, str] = {
    "sft": "training.recipes.sft",
    "reward_model": "training.recipes.reward_model",
    "ppo": "training.recipes.ppo",
    "dpo": "training.recipes.dpo",
    "best_of_n": "training.recipes.best_of_n",
    "sample_pairs": "training.recipes.sample_pairs",
    "evaluate_reward_model": "evaluation.recipes.evaluate_reward_model",
    "evaluate_policy": "evaluation.recipes.evaluate_policy",
}


@dataclass(frozen=True)
class InputRef(JsonContract):
    """A file or artifact directory that a run reads. `path` is absolute; `sha256` is its digest."""

    path: str
    sha256: str


@dataclass(frozen=True)
class RunSpec(JsonContract):
    """The frozen order for one learning program: `RUN_DIRECTORY/spec.json`."""

    run_id: str
    kind: RunKind
    seed: int
    inputs: dict[str, InputRef]
    config: dict[str, Any]
    schema: int = SCHEMA

    def sha256(self) -> str:
        return json_sha256(self.to_json())


@dataclass(frozen=True)
class RunEvent(JsonContract):
    """One line of `RUN_DIRECTORY/events.jsonl`; `seq` counts from 1 and is unique in a run.

    `step` of `total_steps` is the progress inside `phase`; `message` is for people.
    """

    seq: int
    at: str  # ISO 8601, UTC
    phase: str
    step: int
    total_steps: int
    metrics: dict[str, float | None] = field(default_factory=dict)
    message: str = ""


TRACKERS = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Where copies of a run's metrics may go, and the libraries of which each needs one."""

ArtifactKind = Literal["policy", "adapter", "reward_model", "held_out_reward_model", "file"]


@dataclass(frozen=True)
class ArtifactRef(JsonContract):
    """Something that a run wrote: a directory or file below the run directory."""

    name: str
    kind: ArtifactKind
    path: str  # relative to the run directory
    sha256: str
    bytes: int


@dataclass(frozen=True)
class AttemptError(JsonContract):
    """Why an attempt failed: `RUN_DIRECTORY/error.json`, since launchers hide the exit code of their child.

    An attempt that finds the directory another's ("held") may write nothing there: its record is a line of
    what it prints.
    """

    kind: Literal["alarm", "cancelled", "error", "held", "memory", "storage", "user"]
    message: str
    exit_code: int


@dataclass(frozen=True)
class RunManifest(JsonContract):
    """What a finished run says of itself: `RUN_DIRECTORY/manifest.json`, written last."""

    run_id: str
    kind: RunKind
    spec_sha256: str
    artifacts: tuple[ArtifactRef, ...]
    results: dict[str, Any]
    environment: dict[str, Any]
    seconds: float
    peak_memory_mb: float
    schema: int = SCHEMA

    def artifact(self, name: str) -> ArtifactRef:
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        known = ", ".join(a.name for a in self.artifacts) or "none"
        raise ContractError(f"The manifest has no artifact {name!r}; it has: {known}.")
