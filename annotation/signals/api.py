"""Signals for programs: what users said, and the prompts that they give thumbs down."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from annotation.comparisons.api import MessageOut
from web.access import LEAD, STAFF, require_role
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.listing import Cursor, Listing, listed
from web.api.requests import Body
from web.tokens import IMPORT, READ

from .models import Signal
from .troubled import (
    MOST_SHOWN,
    Place,
    Side,
    TroubledPrompt,
    troubled_prompts,
    troubled_prompts_add,
)

router = Router(tags=["signals"])


class SignalOut(Schema):
    """What one user said of one answer, without the user."""

    id: UUID
    completion: str
    version: UUID
    thumb: Literal["", "up", "down"]
    edit: str
    text: str
    regenerated: bool
    given_at: str


class TroubledOut(Schema):
    """`share` of thumbs down with its 95 % interval, by `users`. `place`: "new" would train, "stored" is
    among the prompts, "measures" falls on a split that measures, "no_prompt" cannot be one."""

    conversation: str
    messages: list[MessageOut]
    share: float
    low: float
    high: float
    users: int
    split: Side
    place: Place


class TroubledList(Schema):
    """The surest first."""

    items: list[TroubledOut]


class ChosenIn(Body):
    """By their `conversation`."""

    conversations: list[str] = Field(min_length=1, max_length=MOST_SHOWN)


class AddedOut(Schema):
    added: int
    left_out: int


@router.get(
    "/lines/{line_id}/signals",
    response={200: Listing[SignalOut]},
    auth=TokenAuth(READ),
    url_name="signals",
)
def signals_list(request: HttpRequest, line_id: UUID, query: Query[Cursor]) -> Listing[SignalOut]:
    """Everything that users said of a line's answers, newest first."""
    require_role(request, *STAFF, line_id=line_id)
    rows = Signal.objects.filter(line_id=line_id)
    return listed(rows, cursor=query, fields=("-given_at", "-id"), shown=_signal_shown)


@router.get(
    "/lines/{line_id}/signals/prompts",
    response={200: TroubledList},
    auth=TokenAuth(READ),
    url_name="signals_prompts",
)
def troubled_list(request: HttpRequest, line_id: UUID) -> TroubledList:
    """Prompts with more thumbs down than the line's others, while answers to them are kept."""
    require_role(request, *STAFF, line_id=line_id)
    found = troubled_prompts(line_id=line_id)
    return TroubledList(items=[_troubled_shown(each) for each in found])


@router.post(
    "/lines/{line_id}/signals/prompts",
    response={200: AddedOut},
    auth=TokenAuth(IMPORT),
    url_name="signals_prompts",
)
@once
def troubled_add(request: HttpRequest, line_id: UUID, chosen: ChosenIn) -> AddedOut:
    """Add prompts of that list to the line's own, for leads; only "new" ones are, the others stay out."""
    require_role(request, LEAD, line_id=line_id)
    done = troubled_prompts_add(
        line_id=line_id, conversations=chosen.conversations, actor=request.user
    )
    return AddedOut(added=done.added, left_out=done.left_out)


def _signal_shown(row: Signal) -> SignalOut:
    plain = ("id", "thumb", "edit", "text", "regenerated")
    return SignalOut(
        **{name: getattr(row, name) for name in plain},
        completion=row.completion_id,
        version=row.version_id,
        given_at=row.given_at.isoformat(),
    )


def _troubled_shown(each: TroubledPrompt) -> TroubledOut:
    return TroubledOut(
        conversation=each.conversation,
        messages=[MessageOut(role=m["role"], content=m["content"]) for m in each.messages],
        share=each.thumbs.share,
        low=each.thumbs.low,
        high=each.thumbs.high,
        users=each.thumbs.users,
        split=each.split,
        place=each.place,
    )
