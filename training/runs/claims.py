"""Who works on a run: claims, leases and fences, each one conditional UPDATE by the database's clock."""

from __future__ import annotations

import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Case, Expression, F, Q, QuerySet, When

from training.contracts import canonical_json
from web.clock import Now, from_now
from web.files import file_write
from web.outages import database_retried

from .models import Run, RunState


class RunBusy(RuntimeError):
    """Another worker holds the run and its lease has not run out."""


class LeaseLost(RuntimeError):
    """Another worker took the run over; this one's child was ended and its word does not count."""


def run_claim(run_id: UUID, owner: str) -> Run:
    """Take the run if it waits, failed, or lost its worker: one conditional UPDATE decides.

    A claim is a new attempt and raises the fence, unless a scheduler's job carries out the present one:
    the new worker goes on with that job. So each claim has a name of its own, whoever the owner is.
    """
    free = Q(state__in=[RunState.PENDING, RunState.FAILED]) | Q(
        state=RunState.RUNNING, lease_expires_at__lt=Now()
    )
    claimed = Run.objects.filter(free, pk=run_id).update(
        state=RunState.RUNNING,
        fence=Case(When(job_fence=F("fence"), then=F("fence")), default=F("fence") + 1),
        lease_owner=f"{owner}#{secrets.token_hex(4)}",
        lease_expires_at=_lease_end(),
        error="",
        finished_at=None,
    )
    run = Run.objects.get(pk=run_id)
    if not claimed:
        raise RunBusy(f"{run} is held by {run.lease_owner} until {run.lease_expires_at}.")
    if run.started_at is None:
        Run.objects.filter(pk=run_id).update(started_at=Now())
    return run


def held(run: Run) -> QuerySet[Run]:
    """The run's row, as long as this claim of it counts."""
    return Run.objects.filter(
        pk=run.pk, fence=run.fence, lease_owner=run.lease_owner, state=RunState.RUNNING
    )


def _lease_end() -> Expression:
    return from_now(timedelta(seconds=settings.OUTERLOOP_LEASE_SECONDS))


def run_release(run: Run) -> None:
    """Give the run back unfinished; without effect where another worker has it by now."""
    held(run).update(state=RunState.PENDING, lease_expires_at=None)


def run_heartbeat(run: Run) -> bool:
    """Prolong the lease; True when somebody asked to cancel. Raises `LeaseLost`."""
    if not held(run).update(lease_expires_at=_lease_end()):
        raise LeaseLost(f"{run} was taken over by another worker.")
    return Run.objects.filter(pk=run.pk, cancel_requested_at__isnull=False).exists()


def fence_raise(run: Run) -> None:
    """A number of its own for the next attempt, so that the one before it may write no more."""

    def update() -> int:
        # The higher number: the first try was carried out and only its answer was lost.
        mine = Run.objects.filter(
            pk=run.pk, lease_owner=run.lease_owner, fence__in=[run.fence, run.fence + 1]
        )
        return mine.filter(state=RunState.RUNNING).update(fence=run.fence + 1, job_fence=None)

    if not database_retried(update, seconds=settings.OUTERLOOP_LEASE_SECONDS):
        raise LeaseLost(f"{run} was taken over by another worker.")
    run.fence, run.job_fence = run.fence + 1, None


def steps_reached(run: Run) -> int:
    """How many different steps the run has reported: a later attempt that repeats one adds nothing."""

    def count() -> int:
        steps = run.events.exclude(phase__in=["start", "resume"]).values("phase", "step")
        return steps.distinct().count()

    return database_retried(count, seconds=settings.OUTERLOOP_LEASE_SECONDS)


def directory_prepare(run: Run) -> None:
    run.directory.mkdir(parents=True, exist_ok=True)
    file_write(run.directory / "spec.json", canonical_json(run.spec), durable=False)
    file_write(run.directory / "fence", str(run.fence), durable=False)
    for leftover in ("cancel", "pause", "error.json"):
        (run.directory / leftover).unlink(missing_ok=True)
