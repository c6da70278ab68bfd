"""The program at work, as `execution` stays with it: the worker's own child, or a job of a scheduler.

A child ends with its worker; a job does not (see `scheduler_job`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from django.db.models import F, Q

from web.clock import Now
from web.files import file_write

from .backends import JobOrder, LocalBackend, SchedulerAway, backend_of
from .claims import held
from .event_ingest import Beat
from .exit_report import killed
from .launching import child_environment
from .models import Run, RunState
from .scheduler_job import SchedulerJob, job_end

logger = logging.getLogger(__name__)


class RunJob(Protocol):
    @property
    def attached(self) -> bool:
        """Whether the run's present attempt is already carried out somewhere."""

    @property
    def worked(self) -> float:
        """Seconds that programs of this run were at work under this worker's eyes."""

    def config(self) -> Path | None: ...

    def begin(self, argv: Sequence[str]) -> None: ...

    def poll(self, beat: Beat) -> int | None:
        """The exit code once the program has ended."""

    def waits(self) -> bool:
        """Whether there is no program yet that could save a checkpoint."""

    def again(self, code: int) -> bool:
        """Whether the end came from outside, so that another attempt goes on from the checkpoint."""

    def give_up(self) -> None:
        """Attempt after attempt got no further: may raise `JobRefused` with what is known of it."""

    def leave(self) -> None:
        """The worker stops looking after it."""

    def end(self) -> None:
        """It has ended, or is to end now."""


def job_of(run: Run, order: JobOrder) -> RunJob:
    """A run whose job is under way goes on with that, whatever its plan says by now."""
    under_way = run.job_fence == run.fence
    if not under_way and order.backend == "local":
        return ChildJob(run, order)
    return SchedulerJob(run, order, backend_of(run.backend if under_way else order.backend))


class ChildJob:
    attached = False

    def __init__(self, run: Run, order: JobOrder) -> None:
        self.run, self.order, self.backend = run, order, LocalBackend()
        self.job_id, self.started = "", time.monotonic()

    @property
    def worked(self) -> float:
        return time.monotonic() - self.started

    def config(self) -> Path | None:
        return None

    def begin(self, argv: Sequence[str]) -> None:
        run = self.run
        if run.backend != "local":
            held(run).update(backend="local", job_id="", job=None)
        self.job_id = self.backend.submit(
            argv, child_environment(), self.order.resources, run.directory, run.fence
        )

    def poll(self, beat: Beat) -> int | None:
        return self.backend.state(self.job_id, self.run.directory, self.run.fence).code

    def waits(self) -> bool:
        return False

    def again(self, code: int) -> bool:
        return killed(self.run, code)

    def give_up(self) -> None:
        """The child's own last words say why."""

    def leave(self) -> None:
        self.backend.cancel(self.job_id)

    def end(self) -> None:
        self.backend.cancel(self.job_id)


def jobs_sweep() -> None:
    """End the jobs of cancelled runs that no worker looks after any more."""
    left = Run.objects.filter(job_fence=F("fence")).filter(
        Q(state=RunState.CANCELLED) | Q(cancel_requested_at__isnull=False)
    )
    unheld = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now())
    for run in left.filter(unheld):
        try:
            file_write(run.directory / "fence", "closed", durable=False)
            job_end(run, backend_of(run.backend))
        except (SchedulerAway, OSError) as error:
            logger.warning("run %s: its job cannot be cancelled yet: %s", run.id, error)
            continue
        left.filter(unheld, pk=run.pk, fence=run.fence).update(
            job_fence=None,
            state=RunState.CANCELLED,
            lease_expires_at=None,
            finished_at=Now(),
            error="Cancelled; the last checkpoint is kept.",
        )
