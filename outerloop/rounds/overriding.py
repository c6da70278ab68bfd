"""Letting a refused candidate through: two leads, a reason, an expiry, and then the same deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.urls import reverse

from evaluation import facade as evaluation
from web.access import LEAD, people_with
from web.services import notice_send

from .canaries import candidate_deploy
from .locking import RoundRefused
from .models import Round, State

if TYPE_CHECKING:
    from web.access import User


def overridable_checks(round_: Round) -> list[tuple[str, str]]:
    """(id, name) of the checks that hold the candidate back and that leads may let through."""
    gate = evaluation.effective_gate(round_.id)
    return [
        (check.id, f"{check.id} {check.name}")
        for check in (gate.checks if gate else ())
        if check.required and check.overridable and check.status != "PASS" and not check.overridden
    ]


def second_lead_tell(round_: Round, *, by: User) -> None:
    others = people_with(LEAD, line_id=round_.line_id).exclude(pk=by.pk)
    notice_send(
        users=others,
        topic=f"override {round_.id} {by.pk} {evaluation.overrides(round_.id)[0].id}",
        level="attention",
        text=f"{by} asks you to confirm an override in {round_.line.name}, round {round_.number}.",
        url=reverse("reports:report", args=[round_.line.slug, round_.number]),
    )


def override_confirm(*, round_: Round, override_id: UUID, actor: User) -> str:
    """The second lead's yes. When nothing else holds the candidate back, it is deployed now."""
    verdict = evaluation.override_confirm(override_id=override_id, actor=actor)
    if verdict != "PROMOTE":
        return f"The override is confirmed; the gate still says {verdict}."
    if round_.state not in (State.CLOSED, State.SAMPLING_PAIRS):
        return "The override is confirmed; the round goes on with it."
    if round_.candidate is None or evaluation.deployed_version(round_.line_id) != round_.incumbent:
        raise RoundRefused(
            "The override is confirmed, but another policy was deployed meanwhile: the candidate was"
            " compared with an incumbent that is gone. Start a new round."
        )
    done = candidate_deploy(round_, actor=actor, reason="override by two leads")
    return f"The override is confirmed and {done.note}"
