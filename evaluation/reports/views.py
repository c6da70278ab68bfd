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
from evaluation.reports.naming import people_named
from evaluation.reports.pages import history_page, report_page
from evaluation.reports.ratings import rounds_rated
from training.contracts import canonical_json
from web.access import STAFF, require_role
from web.registry import ReportCard, drawn, registered
from web.tokens import takes_tokens


@require_safe
@login_required
def report(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    found = _report_for(request, slug, number)
    numbers = selectors.reported_numbers(found.line)
    context = {
        "report": found,
        "page": report_page(found),
        "line_url": _line_url(slug),
        "previous": max((n for n in numbers if n < number), default=None),
        "next": min((n for n in numbers if n > number), default=None),
        "cards": drawn(request, registered(ReportCard), found.round),
    }
    return render(request, "reports/report.html", context)


@takes_tokens
@require_safe
@login_required
def report_json(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The record in its canonical spelling: its SHA-256 is the report's, and the ETag."""
    found = _report_for(request, slug, number)
    body = canonical_json(found.document())
    return HttpResponse(
        body, content_type="application/json", headers={"ETag": f'"{found.sha256}"'}
    )


@require_safe
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
@login_required
def history(request: HttpRequest, slug: str) -> HttpResponse:
    line_id = selectors.line_of_slug(slug)
    require_role(request, *STAFF, line_id=line_id)
    newest = selectors.newest_report(line_id) if line_id else None
    context: dict[str, Any] = {"slug": slug, "line_url": _line_url(slug), "page": None}
    if newest is not None:
        context["page"] = history_page(
            people_named(newest.frozen),
            rounds_rated(newest.line),
            reported=set(selectors.reported_numbers(newest.line)),
            overridden=selectors.overridden_rounds(newest.line),
        )
    return render(request, "reports/history.html", context)


def _report_for(request: HttpRequest, slug: str, number: int) -> RoundReport:
    """The one way to a report: the person must be an engineer or lead of its line."""
    line_id: UUID | None = selectors.line_of_slug(slug)
    require_role(request, *STAFF, line_id=line_id)
    found = selectors.report_of_number(line_id, number) if line_id else None
    if found is None:
        raise Http404(
            f"Round {number} of {slug} has no report yet; it is written when its gate decides."
        )
    return found


def _line_url(slug: str) -> str:
    try:
        return reverse("rounds:line", args=[slug])
    except NoReverseMatch:
        return ""
