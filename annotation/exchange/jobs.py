"""Imports and exports as jobs of the site, which programs outside are told the ends of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from annotation.contracts import AnnotationError
from web.jobs import JobFailed, job_carried

from .events import job_end_tell
from .models import ExportJob, ImportJob
from .records import printable

JobT = TypeVar("JobT", ImportJob, ExportJob)


def job_run(
    model: type[JobT], job_id: UUID, work: Callable[[JobT], Mapping[str, Any]]
) -> JobT | None:
    """`job_carried`, with what this room raises for people as the sentence of a job that failed."""

    def done(job: JobT) -> Mapping[str, Any]:
        try:
            return work(job)
        except AnnotationError as error:
            raise JobFailed(printable(str(error))) from error

    return job_carried(model, job_id, done, ended=job_end_tell)
