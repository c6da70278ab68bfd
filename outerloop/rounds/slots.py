"""Places on pages that are filled from elsewhere: the lead's buttons on a report, which the rounds fill,
and further buttons on a line's page, which the demo fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from evaluation.facade import report_decision_slot
from training.facade import RoundLink, run_round_slot
from web.access import roles_of

from .models import PolicyLine, Round
from .pages import decision_context


def fill_slots() -> None:
    report_decision_slot(template="rounds/_decision_actions.html", read=decision_of)
    run_round_slot(round_link)


def round_link(round_id: UUID) -> RoundLink | None:
    """The round that a run belongs to, for the run's page."""
    round_ = Round.objects.select_related("line").filter(pk=round_id).first()
    if round_ is None:
        return None
    place = [round_.line.slug, round_.number]
    return RoundLink(
        name=f"{round_.line.name}, round {round_.number}",
        url=reverse("rounds:round", args=place),
        cancel_url=reverse("rounds:cancel", args=place) if round_.active else "",
    )


@dataclass(frozen=True)
class LineAction:
    """A further button on a line's page; `url_name` takes the slug and answers to POST."""

    label: str
    url_name: str
    confirm: str
    shown: Callable[[PolicyLine], bool]


_line_actions: dict[str, LineAction] = {}


def register_line_action(action: LineAction) -> None:
    _line_actions[action.url_name] = action


def line_actions(line: PolicyLine) -> list[LineAction]:
    return [action for action in _line_actions.values() if action.shown(line)]


def decision_of(request: HttpRequest, round_id: UUID) -> Mapping[str, Any] | None:
    round_ = Round.objects.select_related("line").filter(pk=round_id).first()
    if round_ is None:
        return None
    context = decision_context(round_, roles_of(request.user, round_.line_id))
    return context if context["may_decide"] else None
