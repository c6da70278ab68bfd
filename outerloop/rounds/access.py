"""The access functions of lines and rounds: a page that asks for a row asks here."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from web.access import STAFF, lines_of, require_role

from .models import PolicyLine, Round


def lines_for(request: HttpRequest, *, archived: bool = False) -> list[PolicyLine]:
    """Those that are at work, or with `archived` those that were put away, by name."""
    rows = lines_allowed(request).filter(archived_at__isnull=not archived)
    return list(rows.order_by("name"))


def lines_allowed(request: HttpRequest) -> QuerySet[PolicyLine]:
    """The lines on which the person is engineer or lead."""
    allowed = lines_of(request.user, *STAFF)
    lines = PolicyLine.objects.all()
    return lines if allowed is None else lines.filter(pk__in=allowed)


def line_for(request: HttpRequest, slug: str, *roles: str) -> PolicyLine:
    line = get_object_or_404(PolicyLine, slug=slug)
    require_role(request, *(roles or STAFF), line_id=line.id)
    return line


def line_of_id(request: HttpRequest, line_id: UUID, *roles: str) -> PolicyLine:
    """The same by the id, as programs name a line."""
    line = get_object_or_404(PolicyLine, pk=line_id)
    require_role(request, *(roles or STAFF), line_id=line.id)
    return line


def round_for(request: HttpRequest, slug: str, number: int, *roles: str) -> Round:
    return round_of(line_for(request, slug, *roles), number)


def round_of(line: PolicyLine, number: int) -> Round:
    """A round of a line that was asked for by one of the above."""
    return get_object_or_404(Round.objects.select_related("line"), line=line, number=number)
