"""Uploaded and exported files of jobs that ended long ago: their rows are in the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings

from web.jobs import JobState

from .models import ExportJob, ImportJob

FOLDERS = ("uploads", "exports")


def files_of_ended_jobs(*, before: datetime) -> Iterator[Path]:
    """Files that the site itself wrote into its data folder for jobs that ended before this moment.

    A file that somebody imported from elsewhere at the terminal is theirs, and is never among them.
    """
    ended = [JobState.DONE, JobState.FAILED, JobState.CANCELLED]
    for model in (ImportJob, ExportJob):
        jobs = model.objects.filter(state__in=ended, finished_at__lt=before).exclude(path="")
        for path in map(Path, jobs.order_by("path").values_list("path", flat=True).distinct()):
            if _is_ours(path) and path.is_file() and not _in_use(path):
                yield path


def _is_ours(path: Path) -> bool:
    return any(path.parent == Path(settings.VAR_DIR).resolve() / name for name in FOLDERS)


def _in_use(path: Path) -> bool:
    working = [JobState.QUEUED, JobState.RUNNING]
    return ImportJob.objects.filter(path=str(path), state__in=working).exists()
