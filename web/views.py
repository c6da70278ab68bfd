"""Home by role, the notices, and the audit log."""

from __future__ import annotations

import sys
import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views import defaults
from django.views.decorators.http import require_GET, require_POST

from .access import LEAD, lines_of, role_required, roles_of
from .audit import acts
from .history import history_view
from .models import AuditEvent
from .outages import DATABASE_AWAY
from .paging import page_by_key
from .registry import Panel, drawn, line_names, registered
from .selectors import notices_for
from .services import notices_read
from .storage import STORAGE, storage_sentence
from .tables import Sort, choice_filter, table_asked

NEWEST = Sort("newest first", ("-at", "-id"))


@require_GET
@login_required
def home(request: HttpRequest) -> HttpResponse:
    roles = roles_of(request.user)
    panels = [panel for panel in registered(Panel) if panel.roles & roles]
    return render(request, "web/home.html", {"panels": drawn(request, panels)})


@require_GET
@login_required
def notices(request: HttpRequest) -> HttpResponse:
    page = page_by_key(
        notices_for(request.user), query=request.GET, fields=("-created_at", "-id"), size=30
    )
    return render(request, "web/notices.html", {"page": page})


@require_POST
@login_required
def notice_open(request: HttpRequest, notice_id: uuid.UUID) -> HttpResponse:
    """Mark one notice read and go to what it is about."""
    notice = get_object_or_404(notices_for(request.user), pk=notice_id)
    notices_read(user=request.user, notice_id=notice.pk)
    # `url` was written by the site itself; a path only, so that a notice never leads elsewhere.
    inside = notice.url.startswith("/") and not notice.url.startswith("//")
    return redirect(notice.url if inside else "web:notices")


@require_POST
@login_required
def notices_all_read(request: HttpRequest) -> HttpResponse:
    notices_read(user=request.user)
    return redirect("web:notices")


@require_GET
@history_view
@role_required(LEAD)
def audit(request: HttpRequest) -> HttpResponse:
    events = AuditEvent.objects.all()
    lines = lines_of(request.user, LEAD)
    if lines is not None:
        events = events.filter(line__in=lines)
    named = [(str(line.id), line.name) for line in line_names(lines)]
    filters = {"line": choice_filter("Line", named)}
    table = table_asked(request.GET, sorts={"newest": NEWEST}, filters=filters)
    page = page_by_key(events.filter(**table.chosen), query=request.GET, fields=table.fields)
    context = {"page": page, "acts": acts(page.rows), "table": table}
    return render(request, "web/audit.html", context)


AWAY = "The database is not available for a moment. Try again in a few seconds."
RETRY_AFTER_SECONDS = 5


def server_error(request: HttpRequest) -> HttpResponse:
    """What Django shows where something raised: a database that is away, or a disk that takes nothing,
    is no defect, but a 503.

    Without a query, so that it can be shown then. Programs get a sentence as JSON, as from any door.
    """
    error = sys.exc_info()[1]
    storage = isinstance(error, OSError) and error.errno in STORAGE
    if not storage and not isinstance(error, DATABASE_AWAY):
        return defaults.server_error(request)
    sentence = storage_sentence(error) if isinstance(error, OSError) else AWAY
    if request.content_type == "application/json" or request.path.startswith("/api/"):
        answer: HttpResponse = JsonResponse({"error": sentence}, status=503)
    else:
        page = "web/no_storage.html" if storage else "503.html"
        answer = HttpResponse(render_to_string(page, {"sentence": sentence}), status=503)
    answer["Retry-After"] = str(RETRY_AFTER_SECONDS)
    answer["Cache-Control"] = "no-store"
    return answer
