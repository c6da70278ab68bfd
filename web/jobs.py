"""The life of a long job of the site: claimed once, heard of while it works, stopped when asked, ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from .clock import Now, from_now

# A running job that has not been heard of for this long belongs to a worker that died.
SILENCE = timedelta(minutes=2)


class JobState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


# How pages mark each.
JOB_MEANING = {
    JobState.QUEUED.value: "waiting",
    JobState.RUNNING.value: "running",
    JobState.DONE.value: "good",
    JobState.FAILED.value: "bad",
    JobState.CANCELLED.value: "neutral",
}


class SiteJob(models.Model):
    """What every job has: whose it is, how far it is, what came of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    state = models.CharField(max_length=9, choices=JobState.choices, default=JobState.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    actor = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        ordering = ["-created_at"]


JobT = TypeVar("JobT", bound=SiteJob)


class JobCancelled(Exception):
    """Somebody asked the job to stop."""


class JobFailed(Exception):
    """It cannot be done as it is; the sentence says why, and what to do."""


def job_carried(
    model: type[JobT],
    job_id: UUID,
    work: Callable[[JobT], Mapping[str, Any]],
    *,
    ended: Callable[[JobT], object] = lambda job: None,
) -> JobT | None:
    """Claim the job and carry it out; None when somebody else has it, or it is finished.

    `work` returns the fields of a job that is done. Nothing is raised for what a person can mend: the job
    ends as failed, with the sentence of `JobFailed` in `error`. `ended` is told of every end, in its transaction.
    """
    rows = model._default_manager.filter(pk=job_id)
    if not rows.filter(_free()).update(
        state=JobState.RUNNING, started_at=Now(), heartbeat_at=Now()
    ):
        return None
    job = rows.get()

    def finish(state: JobState, **fields: Any) -> None:
        with transaction.atomic():
            _finish(job, state, **fields)
            ended(job)

    try:
        fields = work(job)
    except JobCancelled:
        finish(JobState.CANCELLED)
    except JobFailed as error:
        finish(JobState.FAILED, error=str(error))
    except Exception:
        finish(JobState.FAILED, error="An unexpected error ended the job; see the log.")
        raise
    else:
        finish(JobState.DONE, **fields)
    return job


def job_heard(job: SiteJob, **done: Any) -> None:
    """Write down how far a job is; `JobCancelled` when it was asked to stop."""
    rows = type(job)._default_manager.filter(pk=job.pk)
    rows.update(heartbeat_at=Now(), **done)
    if rows.filter(cancel_requested=True).exists():
        raise JobCancelled


def job_cancel(job: SiteJob) -> bool:
    """Ask the job to stop where it next looks; one that waits is cancelled at once. False where it has ended."""
    rows = type(job)._default_manager.filter(pk=job.pk)
    if rows.filter(state=JobState.QUEUED).update(
        state=JobState.CANCELLED, cancel_requested=True, finished_at=timezone.now()
    ):
        return True
    return rows.filter(state=JobState.RUNNING).update(cancel_requested=True) == 1


def jobs_waiting(model: type[SiteJob]) -> list[UUID]:
    """Jobs that nobody is at: queued, or left behind by a worker that died."""
    return list(model._default_manager.filter(_free()).values_list("pk", flat=True))


def _free() -> Q:
    silent = Q(state=JobState.RUNNING, heartbeat_at__lt=from_now(-SILENCE))
    return Q(state=JobState.QUEUED) | silent


def _finish(job: SiteJob, state: JobState, **fields: Any) -> None:
    job.refresh_from_db()
    for name, value in {**fields, "state": state, "finished_at": timezone.now()}.items():
        setattr(job, name, value)
    job.save(update_fields=[*fields, "state", "finished_at"])
