"""How a learning program is run: by a worker itself or by a scheduler, with which resources, and how it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from web.json_contract import ContractError, JsonContract

__all__ = [
    "JobBackend",
    "JobFiles",
    "JobPhase",
    "JobPlan",
    "JobResources",
    "JobStanding",
    "Precision",
]

JobBackend = Literal["local", "slurm", "kubernetes"]
Precision = Literal["no", "bf16", "fp16"]
JobFiles = Literal["shared", "site"]
"""A job works in the run directory that workers see, or in a folder of its own: then the site is told."""

_NAME = re.compile(r"[\w.,:@+/-]*")
_IMAGE = re.compile(r"[\w.:/@-]*")
_OPTION = re.compile(r"--[a-z][a-z-]*(=[^\s'\"\\`$]+)?")
_OURS = (
    *("--array", "--chdir", "--clusters", "--error", "--export", "--export-file", "--get-user-env"),
    *("--gid", "--help", "--input", "--job-name", "--mem", "--no-requeue", "--nodes", "--ntasks"),
    *("--ntasks-per-node", "--open-mode", "--output", "--parsable", "--requeue", "--signal"),
    *("--test-only", "--time", "--uid", "--usage", "--version", "--wait", "--wrap"),
)


@dataclass(frozen=True)
class JobResources(JsonContract):
    """What a scheduler is asked for; null takes what `every_step` of the plan says, or else the installation.

    Of `gpus`, `cpus` and `memory_gb` each node has so many; 0 leaves it to the scheduler (no GPU).
    `partition` is Slurm's, or the queue of Kueue on Kubernetes; empty is none of one's own, whatever the
    installation says. `account` and `options` are Slurm's alone, `image` is Kubernetes' alone. `files`: "shared"
    where nodes see the artifact folder, "site" where they reach site and object storage alone.
    """

    gpus: int | None = None
    nodes: int | None = None
    cpus: int | None = None
    memory_gb: int | None = None
    minutes: int | None = None
    partition: str | None = None
    account: str | None = None
    options: tuple[str, ...] | None = None
    image: str | None = None
    mixed_precision: Precision | None = None
    sharded: bool | None = None
    files: JobFiles | None = None

    def __post_init__(self) -> None:
        for name in ("gpus", "nodes", "cpus", "memory_gb", "minutes"):
            least, value = int(name == "nodes"), getattr(self, name)
            if value is not None and value < least:
                raise ContractError(f"JobResources.{name} is {value}; use {least} or more.")
        for name in ("partition", "account"):
            value = getattr(self, name)
            if value is not None and not _NAME.fullmatch(value):
                raise ContractError(f"JobResources.{name} is {value!r}, which is no name.")
        if self.image is not None and not _IMAGE.fullmatch(self.image):
            raise ContractError(
                f"JobResources.image is {self.image!r}, which is no name of an image;"
                " write it as registry.example.org/outerloop-trainer:1."
            )
        for option in self.options or ():
            if not _OPTION.fullmatch(option):
                raise ContractError(
                    f"JobResources.options: {option!r} is no option of sbatch; write it as --name=value."
                )
            # sbatch knows an option by its beginning too.
            if any(ours.startswith(option.split("=")[0]) for ours in _OURS):
                raise ContractError(
                    f"JobResources.options: {option.split('=')[0]} is set by Outerloop; leave it out."
                )


@dataclass(frozen=True)
class JobPlan(JsonContract):
    """Who runs the learning programs of a round; "default" is what the installation says (OUTERLOOP_JOBS)."""

    backend: Literal["default", "local", "slurm", "kubernetes"] = "default"
    every_step: JobResources = field(default_factory=JobResources)
    reward_training: JobResources = field(default_factory=JobResources)
    policy_training: JobResources = field(default_factory=JobResources)
    evaluation: JobResources = field(default_factory=JobResources)
    sampling: JobResources = field(default_factory=JobResources)


JobPhase = Literal["submitting", "queued", "running", "preempted", "ending", "lost", "ended"]


@dataclass(frozen=True)
class JobStanding(JsonContract):
    """Where a job stood when its scheduler was last asked; "ending" is over but for its exit code.

    `since`: ISO 8601, when it was queued or begun. `where`: its nodes, or the partition or queue that it waits in.
    `reason`: the scheduler's own word. `silent_since` and `silence`: since when it does not answer, and what
    was heard instead.
    """

    phase: JobPhase
    since: str = ""
    where: str = ""
    reason: str = ""
    silent_since: str = ""
    silence: str = ""
