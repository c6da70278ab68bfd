"""Writes: order an import or export, and carry it out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from annotation.campaigns.models import Campaign
from annotation.contracts import AnnotationError
from web.history import history_read
from web.jobs import job_heard
from web.services import audit_record
from web.storage import storage_sentence
from web.texts import storable

from . import exporting, importing
from .destination import LONGEST_NAME as LONGEST_CAMPAIGN
from .export_options import JOB_ENDINGS, ExportCounts, ExportOptions
from .jobs import job_run
from .models import ExportJob, ImportJob, ImportRejection
from .reading import size_of
from .records import ImportFailed, ImportOptions, printable

LONGEST_PATH = 500
LONGEST_SOURCE = 100


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


@transaction.atomic
def import_create(
    *,
    line_id: UUID,
    path: Path,
    name: str = "",
    options: ImportOptions | None = None,
    campaign: Campaign | None = None,
    actor: str = "command",
) -> ImportJob:
    """Order an import, and write into the audit log who did. Without a campaign one is found or made in
    the line when the first rows go in. `actor` is a user's id, or the name of a process."""
    if campaign is not None and campaign.line != line_id:
        raise AnnotationError(f"The campaign {campaign.name} belongs to another line.")
    options = options or ImportOptions()
    _options_check(options)
    size = size_of(path)
    place = str(path.resolve())
    if len(place) > LONGEST_PATH or not place.isprintable():
        raise ImportFailed(
            f"{printable(place)[:200]} cannot be kept as a path: use a name in UTF-8, and at most"
            f" {LONGEST_PATH} characters with its folders."
        )
    job = ImportJob.objects.create(
        line=line_id,
        campaign=campaign,
        path=place,
        name=printable(name or path.name)[:200],
        options=options.to_json(),
        bytes_total=size,
        actor=actor,
    )
    audit_record(
        actor=actor,
        verb="imported",
        target=f"file {job.name}"[:200],
        line=line_id,
        detail={"job": str(job.pk)},
    )
    return job


def _options_check(options: ImportOptions) -> None:
    """Names are kept whole or refused: two that were cut to the same one would be one source, or one campaign."""
    for what, name, longest in (
        ("source", options.source, LONGEST_SOURCE),
        ("campaign", options.campaign, LONGEST_CAMPAIGN),
        ("field to keep together by", options.split_by, LONGEST_CAMPAIGN),
    ):
        if len(name) > longest:
            raise ImportFailed(
                f"The name of the {what} has {len(name):,} characters: give one of at most {longest}."
            )
        if not storable(name):
            raise ImportFailed(f"The name of the {what} cannot be kept: write it in UTF-8.")


def import_run(*, job_id: UUID, progress: importing.Progress | None = None) -> ImportJob | None:
    """Claim an import and carry it out, as `job_run` says."""

    def work(job: ImportJob) -> dict[str, Any]:
        ImportRejection.objects.filter(job=job).delete()
        return {"counts": importing.import_carry_out(job=job, progress=progress).to_json()}

    return job_run(ImportJob, job_id, work)


@transaction.atomic
def export_create(
    *, line_id: UUID, options: ExportOptions | None = None, actor: str = "shell"
) -> ExportJob:
    """Order an export; it stands in the audit log. Raises `AnnotationError` for an unknown line or
    campaign."""
    options = options or ExportOptions()
    exporting.export_check(line_id=line_id, options=options)
    job = ExportJob.objects.create(line=line_id, options=options.to_json(), actor=actor)
    _export_audit(actor, "exported", f"export {job.pk}", line_id, options)
    return job


def export_run(*, job_id: UUID) -> ExportJob | None:
    """Claim an export and write its file under the data folder, as `job_run` says."""

    def work(job: ExportJob) -> dict[str, Any]:
        options = ExportOptions.from_json(job.options)
        ending = JOB_ENDINGS[options.container]
        path = Path(settings.VAR_DIR) / "exports" / f"{job.pk}{ending}"
        write = partial(
            exporting.export_write,
            line_id=job.line,
            path=path,
            options=options,
            tick=lambda rows: job_heard(job, rows_done=rows),
        )
        counts = history_read(write, fresh=True)  # with every label given before
        return {"path": str(path), "counts": counts.to_json(), "rows_done": counts.rows}

    return job_run(ExportJob, job_id, work)


def export_to_file(
    *, line_id: UUID, path: Path, options: ExportOptions, tick: exporting.Tick | None = None
) -> ExportCounts:
    """Write an export where the command line asks for it; what was written stands in the audit log."""
    counts = exporting.export_write(line_id=line_id, path=path, options=options, tick=tick)
    name = f"file {printable(path.name)}"[:200]
    _export_audit("shell", "wrote export", name, line_id, options, rows=counts.rows)
    return counts


def _export_audit(
    actor: str, verb: str, target: str, line_id: UUID, options: ExportOptions, **detail: Any
) -> None:
    asked = {"content": options.content, "container": options.container}
    audit_record(actor=actor, verb=verb, target=target, line=line_id, detail={**asked, **detail})
