"""The life of an import or export: claimed once, heard of while it works, stopped when asked, ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotation.contracts import AnnotationError
from web.clock import Now, from_now

from .events import job_end_tell
from .models import ExportJob, FileJob, ImportJob, JobState
from .records import printable

# A running job that has not been heard of for this long belongs to a worker that died.
SILENCE = timedelta(minutes=2)

JobT = TypeVar("JobT", ImportJob, ExportJob)


class JobCancelled(Exception):
    """Somebody asked the job to stop."""


def job_run(
    model: type[JobT], job_id: UUID, work: Callable[[JobT], Mapping[str, Any]]
) -> JobT | None:
    """Claim the job and carry it out; None when somebody else has it, or it is finished.

    `work` returns the fields of a job that is done. Nothing is raised for what a person can mend: the
    job ends as failed, with the sentence in `error`.
    """
    if not model.objects.filter(_free(), pk=job_id).update(
        state=JobState.RUNNING, started_at=Now(), heartbeat_at=Now()
    ):
        return None
    job = model.objects.get(pk=job_id)
    try:
        fields = work(job)
    except JobCancelled:
        _finish(job, JobState.CANCELLED)
    except AnnotationError as error:
        _finish(job, JobState.FAILED, error=printable(str(error)))
    except Exception:
        _finish(job, JobState.FAILED, error="An unexpected error ended the job; see the log.")
        raise
    else:
        _finish(job, JobState.DONE, **fields)
    return job


def job_heard(job: FileJob, **done: Any) -> None:
    """Write down how far a job is; `JobCancelled` when it was asked to stop."""
    rows = type(job)._default_manager.filter(pk=job.pk)
    rows.update(heartbeat_at=Now(), **done)
    if rows.filter(cancel_requested=True).exists():
        raise JobCancelled


def job_cancel(job: FileJob) -> bool:
    """Ask the job to stop after its present batch; a job that waits is cancelled at once."""
    rows = type(job)._default_manager.filter(pk=job.pk)
    if rows.filter(state=JobState.QUEUED).update(
        state=JobState.CANCELLED, cancel_requested=True, finished_at=timezone.now()
    ):
        return True
    return rows.filter(state=JobState.RUNNING).update(cancel_requested=True) == 1


def jobs_waiting(model: type[FileJob]) -> list[UUID]:
    """Jobs that nobody is at: queued, or left behind by a worker that died."""
    return list(model._default_manager.filter(_free()).values_list("pk", flat=True))


def _free() -> Q:
    silent = Q(state=JobState.RUNNING, heartbeat_at__lt=from_now(-SILENCE))
    return Q(state=JobState.QUEUED) | silent


@transaction.atomic
def _finish(job: FileJob, state: JobState, **fields: Any) -> None:
    job.refresh_from_db()
    for name, value in {**fields, "state": state, "finished_at": timezone.now()}.items():
        setattr(job, name, value)
    job.save(update_fields=[*fields, "state", "finished_at"])
    job_end_tell(job)
