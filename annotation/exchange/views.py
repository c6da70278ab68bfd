"""Data in and out, for engineers and leads: order a job, watch it, read what was turned away."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from kombu.exceptions import OperationalError

from annotation.campaigns.models import Campaign
from annotation.contracts import AnnotationError
from web.access import STAFF, lines_of, require_role, role_required
from web.jobs import JOB_MEANING, job_cancel
from web.paging import page_by_key
from web.registry import line_name, line_names
from web.services import audit_record
from web.tokens import EXPORT, takes_tokens

from . import services, tasks
from .export_options import CONTENTS, EXPORT_COUNT_NAMES, JOB_ENDINGS, ExportOptions
from .forms import ExportForm, ImportForm
from .jobs import JobT
from .models import ExportJob, ImportJob
from .records import COUNT_NAMES, ImportOptions
from .selectors import fields_unused, job_share, rejections_of
from .tables import rejections_csv

log = logging.getLogger(__name__)
REJECTIONS_SHOWN = 100


def import_for(request: HttpRequest, job_id: uuid.UUID) -> ImportJob:
    return _job_for(request, ImportJob.objects.select_related("campaign"), job_id)


def export_for(request: HttpRequest, job_id: uuid.UUID) -> ExportJob:
    return _job_for(request, ExportJob.objects.all(), job_id)


def _job_for(request: HttpRequest, jobs: QuerySet[JobT], job_id: uuid.UUID) -> JobT:
    job = get_object_or_404(jobs, pk=job_id)
    require_role(request, *STAFF, line_id=job.line)
    return job


@require_GET
@role_required(*STAFF)
def data(request: HttpRequest) -> HttpResponse:
    """Imports and exports, newest first, each with pages of its own."""
    imports, exports = ImportJob.objects.all(), ExportJob.objects.all()
    lines = lines_of(request.user, *STAFF)
    if lines is not None:
        imports, exports = imports.filter(line__in=lines), exports.filter(line__in=lines)
    newest = ("-created_at", "-id")
    page = page_by_key(imports, query=request.GET, fields=newest, size=20)
    written = page_by_key(exports, query=request.GET, fields=newest, size=20, name="exports")
    names = {line.id: line.name for line in line_names()}
    context = {
        "page": page,
        "imports": [_listed(job, names) for job in page.rows],
        "written": written,
        "exports": [_listed(job, names) for job in written.rows],
    }
    return render(request, "exchange/data.html", context)


def _listed(job: ImportJob | ExportJob, names: Mapping[uuid.UUID, str]) -> dict[str, Any]:
    return {"job": job, "line": names.get(job.line, ""), "meaning": JOB_MEANING[job.state]}


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def import_new(request: HttpRequest) -> HttpResponse:
    form = ImportForm(request.POST or None, request.FILES or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        job = import_ordered(request, form)
        if job is not None:
            return redirect("exchange:import_job", job.pk)
    return render(request, "exchange/import.html", {"form": form})


def import_ordered(request: HttpRequest, form: ImportForm) -> ImportJob | None:
    """The import that a filled-in form asks for; None, with the reason in the form, where it cannot be."""
    line, (name, chunks) = form.cleaned_data["line"], form.upload()
    require_role(request, *STAFF, line_id=line)
    try:
        return upload_taken_up(
            request,
            name=name,
            chunks=chunks,
            line=line,
            options=form.options(),
            campaign=form.cleaned_data["campaign"],
        )
    except AnnotationError as error:
        form.add_error(None, str(error))
        return None


def upload_taken_up(
    request: HttpRequest,
    *,
    name: str,
    chunks: Iterable[bytes],
    line: uuid.UUID,
    options: ImportOptions,
    campaign: Campaign | None = None,
) -> ImportJob:
    """The upload stored and its import ordered; of a refused one nothing stays."""
    path = services.upload_store(name=name, chunks=chunks)
    try:
        with transaction.atomic():
            job = services.import_create(
                line_id=line,
                path=path,
                name=name,
                options=options,
                campaign=campaign,
                actor=str(request.user.pk),
            )
            transaction.on_commit(partial(_enqueue, tasks.import_run, job.pk))
    except AnnotationError:
        path.unlink(missing_ok=True)
        raise
    return job


def _enqueue(task: Any, job_id: uuid.UUID) -> None:
    """Hint at the job; when the broker is away the sweep finds it all the same."""
    try:
        task.delay(str(job_id))
    except OperationalError as error:
        log.warning("The job %s waits for the sweep, the broker is away: %s", job_id, error)


@require_GET
@never_cache
@role_required(*STAFF)
def import_job(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = import_for(request, job_id)
    rejections = rejections_of(job_id=job.pk, limit=REJECTIONS_SHOWN)
    share = job_share(job)
    context = {
        **_watched(job),
        "percent": round(share * 100) if share is not None else None,
        "rejections": rejections,
        "rejections_more": max(job.counts.get("rows_rejected", 0) - len(rejections), 0),
        "unused": fields_unused(job),
    }
    return render(request, "exchange/import_job.html", context)


def _watched(job: ImportJob | ExportJob) -> dict[str, Any]:
    names = COUNT_NAMES if isinstance(job, ImportJob) else EXPORT_COUNT_NAMES
    return {
        "job": job,
        "line": line_name(job.line),
        "meaning": JOB_MEANING[job.state],
        "live": "1s" if job.state in ("queued", "running") else "",
        "counts": [(label, job.counts[key]) for key, label in names.items() if job.counts.get(key)],
    }


@require_GET
@role_required(*STAFF)
def import_rejections(request: HttpRequest, job_id: uuid.UUID) -> HttpResponseBase:
    """Every row that was turned away, as CSV: line, reason, the row's beginning."""
    job = import_for(request, job_id)
    rows = job.rejections.values_list("line_number", "reason", "excerpt").iterator()
    response = StreamingHttpResponse(rejections_csv(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="rejections-{job.pk}.csv"'
    return response


@require_POST
@role_required(*STAFF)
def import_cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = import_for(request, job_id)
    if job_cancel(job):
        messages.info(request, "The import stops after its present batch; what is in stays in.")
    else:
        messages.error(request, "The import had ended before: nothing was cancelled.")
    return redirect("exchange:import_job", job.pk)


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def export_new(request: HttpRequest) -> HttpResponse:
    form = ExportForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        line = form.cleaned_data["line"]
        require_role(request, *STAFF, line_id=line)
        try:
            job = export_ordered(request, line, form.options())
        except AnnotationError as error:
            form.add_error(None, str(error))
        else:
            return redirect("exchange:export_job", job.pk)
    return render(request, "exchange/export.html", {"form": form})


@transaction.atomic
def export_ordered(request: HttpRequest, line: uuid.UUID, options: ExportOptions) -> ExportJob:
    job = services.export_create(line_id=line, options=options, actor=str(request.user.pk))
    transaction.on_commit(partial(_enqueue, tasks.export_run, job.pk))
    return job


@require_GET
@never_cache
@role_required(*STAFF)
def export_job(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = export_for(request, job_id)
    options = ExportOptions.from_json(job.options)
    context = {
        **_watched(job),
        "content": CONTENTS[options.content],
        "ending": JOB_ENDINGS[options.container],
    }
    return render(request, "exchange/export_job.html", context)


@takes_tokens(EXPORT)
@require_GET
@role_required(*STAFF)
def export_file(request: HttpRequest, job_id: uuid.UUID) -> FileResponse:
    job = export_for(request, job_id)
    path = Path(job.path)
    if job.state != "done" or not path.is_file():
        raise Http404("This export has no file; order it again.")
    options = ExportOptions.from_json(job.options)
    what = "preferences" if options.content == "training" else "judgments"
    name = f"{what}-{job.created_at:%Y%m%d-%H%M}{JOB_ENDINGS[options.container]}"
    audit_record(
        actor=request.user, verb="downloaded export", target=f"export {job.pk}", line=job.line
    )
    return FileResponse(path.open("rb"), as_attachment=True, filename=name)


@require_POST
@role_required(*STAFF)
def export_cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = export_for(request, job_id)
    if job_cancel(job):
        messages.info(request, "The export stops; its file is not kept.")
    else:
        messages.error(request, "The export had ended before: nothing was cancelled.")
    return redirect("exchange:export_job", job.pk)
