"""Imports and exports for programs: order one, watch it, read what was turned away, fetch the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from ninja import Field, File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile

from annotation.campaigns.views import campaign_for
from web.access import STAFF, lines_of, require_role
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.listing import Cursor, Listing, listed
from web.api.problems import Problem, field_refused
from web.api.requests import Body
from web.jobs import job_cancel
from web.tokens import EXPORT, IMPORT, READ

from .export_options import ExportOptions
from .forms import ENDINGS
from .models import ExportJob, ImportJob, ImportRejection
from .records import ImportOptions
from .shapes import ALIASES, SHAPES
from .trying import import_try
from .views import export_file, export_for, export_ordered, import_for, upload_taken_up

router = Router(tags=["imports and exports"])
JobStateName = Literal["queued", "running", "done", "failed", "cancelled"]


FILE_TYPES = ("application/gzip", "application/zip", "application/octet-stream")


class JobQuery(Cursor):
    line: UUID | None = None
    state: JobStateName | None = None


class JobOut(Schema):
    """`counts` by name, as the page has them; `error` says why a failed job failed."""

    id: UUID
    line: UUID
    state: JobStateName
    rows: int
    counts: dict[str, int]
    error: str
    created_at: str
    finished_at: str | None


class ImportOut(JobOut):
    """`unused`: fields that held something and that no part of the import reads, in how many rows."""

    name: str
    unused: dict[str, int]
    campaign: UUID | None
    options: dict[str, Any]


class ExportOut(JobOut):
    """`file` is where the file can be fetched, once the job is done."""

    options: dict[str, Any]
    file: str | None


class Rejection(Schema):
    line_number: int
    reason: str
    excerpt: str


class TriedOut(Schema):
    """What an import of these rows would do; `rejections` are the first 100."""

    state: JobStateName
    error: str
    counts: dict[str, int]
    unused: dict[str, int]
    rejections: list[Rejection]


class HowToImport(Body):
    """`format` is a shape's key or auto; `strict`: one bad row, and nothing is taken in. The rows go into
    the campaign of this id, or of this name, which is made where it is new."""

    line: UUID
    campaign_id: UUID | None = None
    format: str = Field("auto", max_length=60)
    source: str = Field("", max_length=100)
    campaign: str = Field("", max_length=120)
    split_by: str = Field("", max_length=60)
    strict: bool = False

    def options(self) -> ImportOptions:
        known = ("auto", *SHAPES, *ALIASES)
        if self.format not in known:
            raise field_refused("format", f"Use one of {', '.join(known)}.")
        if self.campaign_id is not None and self.campaign.strip():
            raise field_refused("campaign", "Send campaign_id or the name of a campaign, not both.")
        return ImportOptions(
            format=self.format,
            strict=self.strict,
            split_by=self.split_by.strip(),
            source=self.source.strip(),
            campaign=self.campaign.strip(),
        )


class RowsIn(HowToImport):
    """Rows as a file would hold them, one object each; up to 2.5 MB, more as a file."""

    name: str = Field("rows.jsonl", max_length=100, pattern=r"\S")
    rows: list[dict[str, Any]] = Field(min_length=1, max_length=10_000)

    def chunks(self) -> Iterator[bytes]:
        """The rows as the lines of a file."""
        return (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in self.rows)


class ExportIn(Body):
    """`content`: labels that may train, or every judgment with all that is known of it. `shape`, `layout`
    and `ties` (tied judgments too, marked) are about the former. No campaigns means all of the line."""

    line: UUID
    content: Literal["training", "everything"] = "training"
    container: Literal["jsonl", "csv", "parquet", "dataset"] = "jsonl"
    layout: Literal["explicit", "implicit", "unpaired"] = "explicit"
    shape: Literal["conversational", "plain"] = "conversational"
    ties: bool = False
    campaigns: list[UUID] = Field([], max_length=100)


@router.get(
    "/imports",
    response={200: Listing[ImportOut]},
    auth=TokenAuth(READ),
    url_name="imports",
)
def imports_list(request: HttpRequest, query: Query[JobQuery]) -> Listing[ImportOut]:
    rows = _jobs(request, ImportJob.objects.all(), query)
    return listed(rows, cursor=query, fields=("-created_at", "-id"), shown=_import_shown)


@router.post(
    "/imports",
    response={201: ImportOut},
    auth=TokenAuth(IMPORT),
    url_name="imports",
)
@once
def import_upload(
    request: HttpRequest, how: Form[HowToImport], file: File[UploadedFile]
) -> Status[ImportOut]:
    """Take a file in; the answer is the job, which a worker carries out."""
    name = PurePath(file.name or "upload").name
    if not name.lower().endswith(ENDINGS):
        raise field_refused("file", f"Send a file whose name ends in {', '.join(ENDINGS)}.")
    job = upload_taken_up(request, name=name, chunks=file.chunks(), **_order(request, how))
    return Status(201, _import_shown(job))


@router.post(
    "/imports/rows",
    response={201: ImportOut},
    auth=TokenAuth(IMPORT),
    url_name="imports_rows",
)
@once
def import_rows(request: HttpRequest, sent: RowsIn) -> Status[ImportOut]:
    """Take rows in as a file of JSON lines would be; the answer is the job."""
    job = upload_taken_up(request, name=sent.name, chunks=sent.chunks(), **_order(request, sent))
    return Status(201, _import_shown(job))


@router.post(
    "/imports/rows/check", response=TriedOut, auth=TokenAuth(IMPORT), url_name="imports_check"
)
def import_check(request: HttpRequest, sent: RowsIn) -> TriedOut:
    """A dry run: the import is carried out and taken back, so that nothing stays."""
    job, rejections = import_try(name=sent.name, chunks=sent.chunks(), **_order(request, sent))
    return TriedOut(
        **{key: _job(job)[key] for key in ("state", "error", "counts")},
        unused=job.counts.get("unused", {}),
        rejections=[_rejection_shown(row) for row in rejections],
    )


@router.get(
    "/imports/{job_id}",
    response={200: ImportOut, 404: Problem},
    auth=TokenAuth(READ),
    url_name="import",
)
def import_read(request: HttpRequest, job_id: UUID) -> ImportOut:
    return _import_shown(import_for(request, job_id))


@router.get(
    "/imports/{job_id}/rejections",
    response={200: Listing[Rejection], 404: Problem},
    auth=TokenAuth(READ),
    url_name="import_rejections",
)
def import_rejected(request: HttpRequest, job_id: UUID, query: Query[Cursor]) -> Listing[Rejection]:
    """The rows that were not taken in, by line, each with its reason."""
    job = import_for(request, job_id)
    return listed(
        job.rejections.all(), cursor=query, fields=("line_number", "id"), shown=_rejection_shown
    )


@router.post(
    "/imports/{job_id}/cancel",
    response={200: ImportOut, 404: Problem},
    auth=TokenAuth(IMPORT),
    url_name="import_cancel",
)
@once
def import_stop(request: HttpRequest, job_id: UUID) -> ImportOut:
    """Stop after the present batch; what is in stays in. A job that has ended is left as it is."""
    job_cancel(import_for(request, job_id))
    return _import_shown(import_for(request, job_id))


@router.get(
    "/exports",
    response={200: Listing[ExportOut]},
    auth=TokenAuth(EXPORT),
    url_name="exports",
)
def exports_list(request: HttpRequest, query: Query[JobQuery]) -> Listing[ExportOut]:
    rows = _jobs(request, ExportJob.objects.all(), query)
    return listed(rows, cursor=query, fields=("-created_at", "-id"), shown=_export_shown)


@router.post(
    "/exports",
    response={201: ExportOut},
    auth=TokenAuth(EXPORT),
    url_name="exports",
)
@once
def export_order(request: HttpRequest, order: ExportIn) -> Status[ExportOut]:
    require_role(request, *STAFF, line_id=order.line)
    chosen = order.dict(exclude={"line", "campaigns"})
    options = ExportOptions(**chosen, campaigns=tuple(str(each) for each in order.campaigns))
    return Status(201, _export_shown(export_ordered(request, order.line, options)))


@router.get(
    "/exports/{job_id}",
    response={200: ExportOut, 404: Problem},
    auth=TokenAuth(EXPORT),
    url_name="export",
)
def export_read(request: HttpRequest, job_id: UUID) -> ExportOut:
    return _export_shown(export_for(request, job_id))


@router.get(
    "/exports/{job_id}/file",
    response={200: None, 404: Problem},
    openapi_extra={"responses": {200: {"content": {kind: {} for kind in FILE_TYPES}}}},
    auth=TokenAuth(EXPORT),
    url_name="export_file",
)
def export_fetch(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The file as the page gives it, by its container: .jsonl.gz, .csv.gz, .parquet, .zip; 404 until the
    job is done."""
    return export_file(request, job_id)


@router.post(
    "/exports/{job_id}/cancel",
    response={200: ExportOut, 404: Problem},
    auth=TokenAuth(EXPORT),
    url_name="export_cancel",
)
@once
def export_stop(request: HttpRequest, job_id: UUID) -> ExportOut:
    job_cancel(export_for(request, job_id))
    return _export_shown(export_for(request, job_id))


def _order(request: HttpRequest, how: HowToImport) -> dict[str, Any]:
    """Where the rows go and how they are read, for an engineer or lead of the line."""
    require_role(request, *STAFF, line_id=how.line)
    chosen = campaign_for(request, how.campaign_id) if how.campaign_id is not None else None
    return {"line": how.line, "options": how.options(), "campaign": chosen}


def _jobs(request: HttpRequest, rows: Any, query: JobQuery) -> Any:
    """Those of the lines on which the token's owner is engineer or lead, narrowed by the query."""
    require_role(request, *STAFF, line_id=query.line)
    allowed = lines_of(request.user, *STAFF)
    if allowed is not None:
        rows = rows.filter(line__in=allowed)
    if query.line is not None:
        rows = rows.filter(line=query.line)
    return rows if query.state is None else rows.filter(state=query.state)


def _job(job: ImportJob | ExportJob) -> dict[str, Any]:
    return {
        "id": job.pk,
        "line": job.line,
        "state": job.state,
        "rows": job.rows_done,
        "counts": {key: n for key, n in job.counts.items() if isinstance(n, int)},
        "error": job.error,
        "options": job.options,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def _import_shown(job: ImportJob) -> ImportOut:
    return ImportOut(
        **_job(job), name=job.name, campaign=job.campaign_id, unused=job.counts.get("unused", {})
    )


def _export_shown(job: ExportJob) -> ExportOut:
    done = job.state == "done"
    file = reverse("api:export_file", kwargs={"job_id": job.pk}) if done else None
    return ExportOut(**_job(job), file=file)


def _rejection_shown(row: ImportRejection) -> Rejection:
    return Rejection(line_number=row.line_number, reason=row.reason, excerpt=row.excerpt)
