"""Who runs a learning program: the worker itself, or a scheduler that it hands a job to."""

from __future__ import annotations

from .kubernetes import KubernetesBackend
from .local import LocalBackend
from .ordering import JobOrder, files_by_site, job_order
from .protocol import Backend, JobRefused, JobStatus, Resources, SchedulerAway
from .slurm import SlurmBackend

__all__ = [
    "Backend",
    "JobOrder",
    "JobRefused",
    "JobStatus",
    "LocalBackend",
    "Resources",
    "SchedulerAway",
    "backend_of",
    "backend_title",
    "files_by_site",
    "job_order",
]


BACKENDS: dict[str, type[Backend]] = {
    "local": LocalBackend,
    "slurm": SlurmBackend,
    "kubernetes": KubernetesBackend,
}
"""By the name that is on a run's row and in a line's plan."""


def backend_of(name: str) -> Backend:
    return BACKENDS[name]()


def backend_title(name: str) -> str:
    """What people call it."""
    return BACKENDS[name].title
