"""What whoever runs learning programs has to be able to do, and what it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from django.conf import settings

from training.contracts import JobFiles, JobPhase, Precision


class SchedulerAway(RuntimeError):
    """The scheduler does not answer; the message is what was heard instead. Ask again later."""


class JobRefused(RuntimeError):
    """The scheduler will not take the job as it is; the message says why and what to mend."""


@dataclass(frozen=True)
class Resources:
    """What a job gets; of GPUs, CPUs and memory so much on each node, 0: what the scheduler gives.

    `partition` is Slurm's, or the queue of Kueue.
    """

    gpus: int
    nodes: int
    cpus: int
    memory_gb: int
    minutes: int
    partition: str
    account: str
    options: tuple[str, ...]
    image: str
    mixed_precision: Precision
    sharded: bool
    files: JobFiles = "shared"

    @property
    def processes(self) -> int:
        return max(1, self.gpus) * self.nodes


@dataclass(frozen=True)
class JobStatus:
    """`code` is the program's exit code, where the phase is "ended" or a child was killed by a signal.

    "preempted" is a job that has begun and waits in the queue again; "lost" one that is over and left no
    exit code, or that the scheduler does not know.
    """

    phase: JobPhase
    code: int | None = None
    since: str = ""
    where: str = ""
    reason: str = ""

    @property
    def over(self) -> bool:
        return self.phase in ("ended", "lost")


class Backend(Protocol):
    """Every call ends within a bounded time, or raises `SchedulerAway`.

    `title` is what people call it. A job is named by its id, and an attempt by run directory and `token`: its
    id may never have been heard.
    """

    title: ClassVar[str]

    def submit(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        resources: Resources,
        directory: Path,
        token: int,
    ) -> str:
        """Have the program run in its run directory as the attempt `token`; returns the id of the job.

        Raises `JobRefused`, or `SchedulerAway`, after which the job may be there: `find` it first.
        """

    def find(self, directory: Path, token: int) -> str:
        """The id of the attempt's job where one was submitted; else empty."""

    def state(self, job_id: str, directory: Path, token: int) -> JobStatus:
        """Raises `JobRefused` for a job that can never begin."""

    def cancel(self, job_id: str) -> None:
        """End the job; without effect where it is over."""

    def logs(self, directory: Path) -> Path:
        """The file in which the program's output is found."""


def call_seconds(wanted: float, *, calls: int = 1) -> float:
    """The longest time of a call, of which so many may follow each other between two heartbeats."""
    return min(wanted, settings.OUTERLOOP_LEASE_SECONDS / 3 / calls)
