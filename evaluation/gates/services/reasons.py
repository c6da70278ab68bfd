"""What an act must have: a reason, who asked for it still a lead, and a canary a share."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth import get_user_model

from evaluation.gates.actors import actor_name
from evaluation.gates.records import GateError
from evaluation.gates.routing import LEAST_SHARE, MOST_SHARE
from web.access import LEAD, people_with

REASON_SHORTEST = 10


def require_reason(reason: str, what: str) -> None:
    """GateError where `what` is done without saying why."""
    if len(reason.strip()) < REASON_SHORTEST:
        raise GateError(f"{what} needs a reason of at least {REASON_SHORTEST} letters.")


def require_still_lead(asked_by: str, line_id: UUID) -> None:
    """GateError where who asked for what two leads decide is none any more, or left: one lead would decide."""
    try:
        person = get_user_model().objects.filter(pk=UUID(asked_by)).first()
    except ValueError:
        person = None
    if person is None:
        return  # a program asked
    if not people_with(LEAD, line_id=line_id).filter(pk=person.pk).exists():
        raise GateError(
            f"{actor_name(asked_by)}, who asked for this, is no lead of this line any more; a lead asks anew."
        )


def share_require(share: int) -> None:
    """GateError where a canary cannot have this share of the users."""
    if not LEAST_SHARE <= share <= MOST_SHARE:
        raise GateError(
            f"A canary answers {LEAST_SHARE} to {MOST_SHARE} percent of the users; {share} is outside."
        )
