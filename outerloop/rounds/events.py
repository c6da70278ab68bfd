"""What programs outside are told of a round, in the transaction in which it happens."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse

from web.events import Event, event_tell
from web.registry import EventKind

from .models import Round, State

STARTED, FAILED, CANCELLED = "round.started", "round.failed", "round.cancelled"
DECIDED, CLOSED = "round.decided", "round.closed"
WAITING_FOR_LABELS = "round.waiting_for_labels"
WAITING_FOR_APPROVAL = "round.waiting_for_approval"
KINDS = (
    EventKind(STARTED, "A round was started; number 0 writes the first pairs.", 10),
    EventKind(WAITING_FOR_LABELS, "Pairs of candidate and incumbent wait for people.", 11),
    EventKind(WAITING_FOR_APPROVAL, "The gate says PROMOTE, and a lead has to let it through.", 12),
    EventKind(DECIDED, "The verdict is there: PROMOTE, REJECT or INCONCLUSIVE.", 13),
    EventKind(CLOSED, "A round ended as planned.", 14),
    EventKind(FAILED, "A round ended by an error; it can be taken up again.", 15),
    EventKind(CANCELLED, "A round was cancelled by a person.", 16),
)
BY_STATE = {
    State.AWAITING_LABELS: WAITING_FOR_LABELS,
    State.AWAITING_APPROVAL: WAITING_FOR_APPROVAL,
    State.CLOSED: CLOSED,
    State.FAILED: FAILED,
    State.CANCELLED: CANCELLED,
}


def move_tell(round_id: UUID, to: State, *, decided: bool) -> None:
    """What a move means to others: a verdict, where it brings one, and the state that was reached."""
    kinds = [DECIDED] if decided else []
    if to in BY_STATE:
        kinds.append(BY_STATE[to])
    if not kinds:
        return
    round_ = Round.objects.select_related("line").get(pk=round_id)
    for kind in kinds:
        round_tell(round_, kind)


def round_tell(round_: Round, kind: str) -> None:
    event_tell(
        Event(
            kind=kind,
            line_id=round_.line_id,
            data={
                "round": str(round_.pk),
                "number": round_.number,
                "title": round_.title,
                "state": str(round_.state),
                "trigger": round_.trigger,
                "verdict": round_.verdict,
                "summary": round_.summary,
                "candidate": str(round_.candidate) if round_.candidate else None,
                "incumbent": str(round_.incumbent),
                "error": round_.error[:500],
            },
            url=reverse("rounds:round", args=[round_.line.slug, round_.number]),
        )
    )
