"""What the rounds put into pages of other rooms: the lead's buttons on a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from evaluation.facade import report_decision_slot
from outerloop.web.access import roles_of

from .models import Round
from .pages import decision_context


def fill_slots() -> None:
    report_decision_slot(template="rounds/_decision_actions.html", read=decision_of)


def decision_of(request: HttpRequest, round_id: UUID) -> Mapping[str, Any] | None:
    round_ = Round.objects.select_related("line").filter(pk=round_id).first()
    if round_ is None:
        return None
    context = decision_context(round_, roles_of(request.user, round_.line_id))
    return context if context["may_decide"] else None
