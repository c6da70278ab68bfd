"""What the loop adds to pages that are not its own: the home page, the navigation, a report, a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from web.access import ENGINEER, LEAD, lines_of, roles_of
from web.registry import (
    Extension,
    LineNames,
    NamedLine,
    NavigationLink,
    Panel,
    ReportCard,
    RoundLookup,
    RoundPlace,
)

from .access import lines_for
from .events import KINDS
from .models import PolicyLine, Round
from .pages import decision_context, lines_context, waiting_read
from .setting_up import STEPS


def _waiting(request: HttpRequest) -> Mapping[str, Any] | None:
    lines = lines_for(request)
    return {"items": waiting_read(lines, request.user)} if lines else None


def _begin(request: HttpRequest) -> Mapping[str, Any] | None:
    """Where to begin, for who may make a line and has none."""
    may_make = lines_of(request.user, ENGINEER, LEAD) is None
    return {} if may_make and not PolicyLine.objects.filter(archived_at=None).exists() else None


def _lines(request: HttpRequest) -> Mapping[str, Any] | None:
    lines = lines_for(request)
    return lines_context(lines, request.user) if lines else None


def _decision(request: HttpRequest, round_id: UUID) -> Mapping[str, Any] | None:
    """The lead's buttons on a report."""
    round_ = _round(round_id)
    if round_ is None:
        return None
    context = decision_context(round_, roles_of(request.user, round_.line_id))
    return context if context["may_decide"] else None


def _round_place(round_id: UUID) -> RoundPlace | None:
    round_ = _round(round_id)
    if round_ is None:
        return None
    place = [round_.line.slug, round_.number]
    return RoundPlace(
        name=f"{round_.line.name}, round {round_.number}",
        url=reverse("rounds:round", args=place),
        cancel_url=reverse("rounds:cancel", args=place) if round_.active else "",
    )


def _round(round_id: UUID) -> Round | None:
    return Round.objects.select_related("line").filter(pk=round_id).first()


def _line_names() -> list[NamedLine]:
    return [
        NamedLine(
            line.pk,
            line.name,
            reverse("rounds:line", args=[line.slug]),
            archived=line.archived_at is not None,
        )
        for line in PolicyLine.objects.all()
    ]


STAFF = frozenset({ENGINEER, LEAD})
ADDED: tuple[Extension, ...] = (
    Panel("rounds.begin", STAFF, 5, "rounds/panels/begin.html", _begin),
    Panel("rounds.waiting", STAFF, 10, "rounds/panels/waiting.html", _waiting),
    Panel("rounds.lines", STAFF, 20, "rounds/panels/lines.html", _lines),
    NavigationLink("lines", "Lines", "rounds:lines", STAFF, 10),
    ReportCard("rounds.decision", "rounds/_decision_actions.html", _decision),
    RoundLookup("rounds", _round_place),
    LineNames("rounds", _line_names),
    *STEPS,
    *KINDS,
)
