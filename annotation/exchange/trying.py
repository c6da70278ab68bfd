"""A dry run: the import itself, carried out and taken back."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction

from annotation.campaigns.models import Campaign

from .models import ImportJob, ImportRejection
from .records import ImportOptions
from .selectors import rejections_of
from .services import import_create, import_run, upload_store

REJECTIONS = 100


@transaction.atomic
def import_try(
    *,
    line: UUID,
    name: str,
    chunks: Iterable[bytes],
    options: ImportOptions,
    campaign: Campaign | None = None,
) -> tuple[ImportJob, list[ImportRejection]]:
    """What the import would do: its job as it would end, and the first rows that would be turned away.

    Nothing stays, neither rows nor file. Raises `AnnotationError` where the import could not be ordered.
    """
    path = upload_store(name=name, chunks=chunks)
    try:
        ordered = import_create(
            line_id=line, path=path, name=name, options=options, campaign=campaign
        )
        job = import_run(job_id=ordered.pk)
        assert job is not None, "a job made a moment ago is free to be claimed"
        return job, rejections_of(job_id=job.pk, limit=REJECTIONS)
    finally:
        transaction.set_rollback(True)
        path.unlink(missing_ok=True)
