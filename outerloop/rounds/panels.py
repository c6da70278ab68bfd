"""What the home page shows of the loop: decisions that wait, and the lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from web.access import LEAD, lines_of
from web.lines import LineName, register_source
from web.panels import Link, Panel, register, register_link

from .access import lines_for
from .models import PolicyLine, Round, State
from .pages import lines_context


def register_panels() -> None:
    register(
        Panel(
            key="rounds.decisions",
            roles=frozenset({"lead"}),
            order=10,
            template="rounds/panels/decisions.html",
            read=_decisions,
        )
    )
    register(
        Panel(
            key="rounds.lines",
            roles=frozenset({"engineer", "lead"}),
            order=20,
            template="rounds/panels/lines.html",
            read=_lines,
        )
    )
    register_source(_line_names)
    register_link(
        Link(
            key="lines",
            label="Lines",
            url_name="rounds:lines",
            roles=frozenset({"engineer", "lead"}),
            order=10,
        )
    )


def _line_names() -> list[LineName]:
    return [
        LineName(line.pk, line.name, reverse("rounds:line", args=[line.slug]))
        for line in PolicyLine.objects.filter(archived_at=None)
    ]


def _decisions(request: HttpRequest) -> Mapping[str, Any] | None:
    waiting = Round.objects.filter(state=State.AWAITING_APPROVAL).select_related("line")
    allowed = lines_of(request.user, LEAD)
    if allowed is not None:
        waiting = waiting.filter(line_id__in=allowed)
    return {"rounds": list(waiting)} if waiting else None


def _lines(request: HttpRequest) -> Mapping[str, Any] | None:
    lines = lines_for(request)
    return lines_context(lines) if lines else None
