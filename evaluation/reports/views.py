"""The pages of reports, for the engineers and leads of a line; annotators stay blind to them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from evaluation.reports import selectors
from evaluation.reports.exporting import export_html
from evaluation.reports.models import RoundReport
from evaluation.reports.pages import history_page, report_page
from evaluation.reports.pdf import export_pdf
from training.contracts import canonical_json
from web.access import STAFF, require_role
from web.history import history_view
from web.paging import page_by_key
from web.registry import ReportCard, drawn, registered
from web.tokens import READ, takes_tokens

ROUNDS_SHOWN = 50


@require_safe
@history_view
@login_required
def report(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    found = _report_for(request, slug, number)
    before, after = selectors.reported_beside(found.line, number)
    context = {
        "report": found,
        "page": report_page(found),
        "line_url": _line_url(slug),
        "previous": before,
        "next": after,
        "cards": drawn(request, registered(ReportCard), found.round),
    }
    return render(request, "reports/report.html", context)


@takes_tokens(READ)
@require_safe
@history_view
@login_required
def report_json(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The record in its canonical spelling: its SHA-256 is the report's, and the ETag."""
    found = _report_for(request, slug, number)
    body = canonical_json(found.document())
    return HttpResponse(
        body, content_type="application/json", headers={"ETag": f'"{found.sha256}"'}
    )


@require_safe
@history_view
@login_required
def report_html(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The report as one file to keep; offered as a download, since its styles are inline."""
    found = _report_for(request, slug, number)
    name = f"{slug}-round-{number}.html"
    return HttpResponse(
        export_html(report_page(found)),
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_safe
@history_view
@login_required
def report_pdf(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The report on A4 pages, to send or to print."""
    found = _report_for(request, slug, number)
    name = f"{slug}-round-{number}.pdf"
    return HttpResponse(
        export_pdf(report_page(found)),
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_safe
@history_view
@login_required
def history(request: HttpRequest, slug: str) -> HttpResponse:
    """The rounds of a line, newest first; the charts are of the rounds on the page."""
    line_id = selectors.line_of_slug(slug)
    require_role(request, *STAFF, line_id=line_id)
    line = selectors.reported_line(line_id) if line_id else None
    context: dict[str, Any] = {"slug": slug, "line_url": _line_url(slug), "history": None}
    if line_id is not None and line is not None:
        rows = selectors.rounds_listed(line_id)
        page = page_by_key(rows, query=request.GET, fields=("-number",), size=ROUNDS_SHOWN)
        totals = selectors.history_totals(line_id)
        context |= {"page": page, "history": history_page(line, page.rows, totals)}
    return render(request, "reports/history.html", context)


def _report_for(request: HttpRequest, slug: str, number: int) -> RoundReport:
    """The one way to a report: the person must be an engineer or lead of its line."""
    line_id: UUID | None = selectors.line_of_slug(slug)
    require_role(request, *STAFF, line_id=line_id)
    found = selectors.report_of_number(line_id, number) if line_id else None
    if found is None:
        raise Http404(
            f"There is no report of round {number} of {slug}: one is written when a round's gate decides."
        )
    return found


def _line_url(slug: str) -> str:
    try:
        return reverse("rounds:line", args=[slug])
    except NoReverseMatch:
        return ""
