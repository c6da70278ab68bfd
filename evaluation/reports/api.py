"""Reports of a line's rounds, for programs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Schema
from ninja.decorators import decorate_view

from evaluation.reports.models import RoundReport
from evaluation.reports.selectors import report_of_number
from training.contracts import canonical_json
from web.access import STAFF, require_role
from web.api.access import TokenAuth
from web.api.listing import Cursor, Listing, listed
from web.api.problems import Problem, Refused
from web.api.requests import Number
from web.history import history_view
from web.tokens import READ

router = Router(tags=["reports"], auth=TokenAuth(READ))


class ReportOut(Schema):
    """The last revision of a round's report; `sha256` is that of its canonical JSON."""

    round: UUID
    number: int
    revision: int
    sha256: str
    created_at: str


@router.get(
    "/lines/{line_id}/reports",
    response={200: Listing[ReportOut]},
    url_name="reports",
)
@decorate_view(history_view)
def reports_list(request: HttpRequest, line_id: UUID, query: Query[Cursor]) -> Listing[ReportOut]:
    """The reported rounds of a line, newest first."""
    require_role(request, *STAFF, line_id=line_id)
    later = RoundReport.objects.filter(round=OuterRef("round"), revision__gt=OuterRef("revision"))
    rows = RoundReport.objects.filter(~Exists(later), line=line_id)
    return listed(rows, cursor=query, fields=("-number", "-id"), shown=_shown)


@router.get(
    "/lines/{line_id}/reports/{number}",
    response={200: dict[str, Any], 404: Problem},
    url_name="report",
)
@decorate_view(history_view)
def report_read(request: HttpRequest, line_id: UUID, number: Path[Number]) -> HttpResponse:
    """The record in its canonical spelling: its SHA-256 is the report's, and the ETag."""
    require_role(request, *STAFF, line_id=line_id)
    found = report_of_number(line_id, number)
    if found is None:
        raise Refused(
            404, "There is no report of such a round: one is written when a round's gate decides."
        )
    return HttpResponse(
        canonical_json(found.document()),
        content_type="application/json",
        headers={"ETag": f'"{found.sha256}"'},
    )


def _shown(report: RoundReport) -> ReportOut:
    return ReportOut(
        round=report.round,
        number=report.number,
        revision=report.revision,
        sha256=report.sha256,
        created_at=report.created_at.isoformat(),
    )
