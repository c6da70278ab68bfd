"""The access functions of lines and rounds: a page that asks for a row asks here."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from web.access import STAFF, lines_of, require_role

from .models import PolicyLine, Round


def lines_for(request: HttpRequest) -> list[PolicyLine]:
    """The lines on which the person is engineer or lead."""
    allowed = lines_of(request.user, *STAFF)
    lines = PolicyLine.objects.order_by("name")
    return list(lines if allowed is None else lines.filter(pk__in=allowed))


def line_for(request: HttpRequest, slug: str, *roles: str) -> PolicyLine:
    line = get_object_or_404(PolicyLine, slug=slug)
    require_role(request, *(roles or STAFF), line_id=line.id)
    return line


def round_for(request: HttpRequest, slug: str, number: int, *roles: str) -> Round:
    line = line_for(request, slug, *roles)
    return get_object_or_404(Round.objects.select_related("line"), line=line, number=number)
