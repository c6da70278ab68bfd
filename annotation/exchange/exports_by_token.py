"""The first addresses for programs, kept for those that use them: `api.py` has their successors."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.contracts import AnnotationError
from web.access import STAFF, require_role
from web.jobs import JobState
from web.tokens import EXPORT, token_required

from .export_options import ExportOptions
from .models import ExportJob
from .views import export_for, export_ordered

LARGEST_BODY = 10_000
FIELDS = {"line", "content", "container", "shape", "layout", "ties", "campaigns"}


@token_required(EXPORT)
@require_POST
def export_order(request: HttpRequest) -> HttpResponse:
    """POST {"line": id} and what `ExportOptions` has: 201 and the job."""
    try:
        line, options = _order_read(request.body)
        require_role(request, *STAFF, line_id=line)
        job = export_ordered(request, line, options)
    except AnnotationError as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(_document(job), status=201)


@token_required(EXPORT)
@require_GET
@never_cache
def export_state(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    return JsonResponse(_document(export_for(request, job_id)))


def _order_read(body: bytes) -> tuple[uuid.UUID, ExportOptions]:
    try:
        document = json.loads(body[:LARGEST_BODY] or b"{}")
    except (ValueError, RecursionError) as error:
        raise AnnotationError("The request is not JSON; send an object with line.") from error
    if not isinstance(document, dict) or document.keys() - FIELDS:
        raise AnnotationError(f"Send a JSON object with {', '.join(sorted(FIELDS))}.")
    try:
        line = uuid.UUID(str(document.pop("line", "")))
        campaigns = [str(uuid.UUID(str(c))) for c in document.get("campaigns") or ()]
    except (ValueError, TypeError) as error:
        raise AnnotationError("line and campaigns are ids (UUIDs).") from error
    if not isinstance(document.get("ties", False), bool):
        raise AnnotationError("ties is true or false.")
    return line, ExportOptions.from_json({**document, "campaigns": campaigns})


def _document(job: ExportJob) -> dict[str, Any]:
    done = job.state == JobState.DONE
    return {
        "id": str(job.pk),
        "state": job.state,
        "rows": job.rows_done,
        "counts": job.counts,
        "error": job.error,
        "job": reverse("exchange:api_export", args=[job.pk]),
        "file": reverse("exchange:export_file", args=[job.pk]) if done else None,
    }
