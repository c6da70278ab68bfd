"""Writes: order an import or export, take it up, carry it out, stop it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.contracts import AnnotationError
from web.clock import Now, from_now
from web.storage import storage_sentence

from . import exporting, importing
from .models import ExportJob, ImportJob, ImportRejection, JobState
from .reading import file_size
from .records import ExportOptions, ImportFailed, ImportOptions, printable

# A running job that has not been heard of for this long belongs to a worker that died.
SILENCE = timedelta(minutes=2)
LONGEST_PATH = 500


def upload_store(*, name: str, chunks: Iterable[bytes]) -> Path:
    """Keep an uploaded file under the data folder, piece by piece; returns where.

    Raises `ImportFailed` when it cannot be kept; then nothing of it stays.
    """
    folder = Path(settings.VAR_DIR) / "uploads"
    safe = re.sub(r"[^\w.-]+", "_", Path(name).name)[-100:].lstrip(".") or "upload"
    path = folder / f"{uuid4().hex}-{safe}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise ImportFailed(storage_sentence(error, folder)) from error
    return path


def import_create(
    *,
    line_id: UUID,
    path: Path,
    name: str = "",
    options: ImportOptions | None = None,
    campaign: Campaign | None = None,
    actor: str = "",
) -> ImportJob:
    """Order an import. Without a campaign one is found or made in the line, named like the source."""
    if campaign is not None and campaign.line != line_id:
        raise AnnotationError(f"The campaign {campaign.name} belongs to another line.")
    size = file_size(path)
    place = str(path.resolve())
    if len(place) > LONGEST_PATH or not place.isprintable():
        raise ImportFailed(
            f"{printable(place)[:200]} cannot be kept as a path: use a name in UTF-8, and at most"
            f" {LONGEST_PATH} characters with its folders."
        )
    return ImportJob.objects.create(
        line=line_id,
        campaign=campaign,
        path=place,
        name=(name or path.name)[:200],
        options=(options or ImportOptions()).to_json(),
        bytes_total=size,
        actor=actor,
    )


def import_run(*, job_id: UUID, progress: importing.Progress | None = None) -> ImportJob | None:
    """Claim the job and carry it out; None when somebody else has it, or it is finished.

    Nothing is raised for a bad file: the job ends as failed, with the sentence in `error`.
    """
    if not _claimed(ImportJob, job_id):
        return None
    job = ImportJob.objects.get(pk=job_id)
    ImportRejection.objects.filter(job=job).delete()
    try:
        counts = importing.import_carry_out(job=job, progress=progress)
    except importing.ImportCancelled as stopped:
        _finish(job, JobState.CANCELLED, counts=stopped.counts.to_json())
    except (ImportFailed, AnnotationError) as error:
        _finish(job, JobState.FAILED, error=printable(str(error)))
    except Exception:
        _finish(job, JobState.FAILED, error="An unexpected error ended the import; see the log.")
        raise
    else:
        _finish(job, JobState.DONE, counts=counts.to_json())
    return job


def import_cancel(*, job_id: UUID) -> bool:
    """Ask the job to stop after its present batch; a job that waits is cancelled at once."""
    return _cancel(ImportJob, job_id)


def export_create(
    *, line_id: UUID, options: ExportOptions | None = None, actor: str = ""
) -> ExportJob:
    return ExportJob.objects.create(
        line=line_id, options=(options or ExportOptions()).to_json(), actor=actor
    )


def export_run(*, job_id: UUID) -> ExportJob | None:
    """Claim the export and write its file under the data folder; None when it is not to be had."""
    if not _claimed(ExportJob, job_id):
        return None
    job = ExportJob.objects.get(pk=job_id)
    path = Path(settings.VAR_DIR) / "exports" / f"{job.pk}.jsonl.gz"

    def tick(rows: int) -> bool:
        ExportJob.objects.filter(pk=job.pk).update(rows_done=rows, heartbeat_at=Now())
        return not ExportJob.objects.filter(pk=job.pk, cancel_requested=True).exists()

    try:
        counts = exporting.export_write(
            line_id=job.line, path=path, options=exporting.options_of(job.options), tick=tick
        )
    except exporting.ExportCancelled:
        _finish(job, JobState.CANCELLED)
    except OSError as error:
        _finish(job, JobState.FAILED, error=storage_sentence(error, path.parent))
    except AnnotationError as error:
        _finish(job, JobState.FAILED, error=str(error))
    except Exception:
        _finish(job, JobState.FAILED, error="An unexpected error ended the export; see the log.")
        raise
    else:
        _finish(job, JobState.DONE, path=str(path), counts=counts.to_json(), rows_done=counts.rows)
    return job


def export_cancel(*, job_id: UUID) -> bool:
    return _cancel(ExportJob, job_id)


def jobs_waiting() -> tuple[list[UUID], list[UUID]]:
    """Imports and exports that nobody is at: queued, or left behind by a worker that died."""
    waiting = Q(state=JobState.QUEUED) | _abandoned()
    imports = ImportJob.objects.filter(waiting).values_list("pk", flat=True)
    return list(imports), list(ExportJob.objects.filter(waiting).values_list("pk", flat=True))


def _abandoned() -> Q:
    return Q(state=JobState.RUNNING, heartbeat_at__lt=from_now(-SILENCE))


def _claimed(model: type[ImportJob] | type[ExportJob], job_id: UUID) -> bool:
    free = Q(state=JobState.QUEUED) | _abandoned()
    taken = model.objects.filter(free, pk=job_id).update(
        state=JobState.RUNNING, started_at=Now(), heartbeat_at=Now()
    )
    return taken == 1


def _cancel(model: type[ImportJob] | type[ExportJob], job_id: UUID) -> bool:
    now = timezone.now()
    waiting = model.objects.filter(pk=job_id, state=JobState.QUEUED)
    if waiting.update(state=JobState.CANCELLED, cancel_requested=True, finished_at=now):
        return True
    running = model.objects.filter(pk=job_id, state=JobState.RUNNING)
    return running.update(cancel_requested=True) == 1


def _finish(job: ImportJob | ExportJob, state: JobState, **fields: Any) -> None:
    job.refresh_from_db()
    for name, value in {**fields, "state": state, "finished_at": timezone.now()}.items():
        setattr(job, name, value)
    job.save(update_fields=[*fields, "state", "finished_at"])
