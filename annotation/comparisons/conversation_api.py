"""A live conversation by token: write to the policy, compare its two answers, go on with the better one, end.

The same services as the page: the conversation of a rater is one, wherever it is written. Answers come whole and
not while they are written.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema
from pydantic import StrictInt

from annotation.accounts.models import Rater
from annotation.campaigns.models import MOST_TURNS, Campaign
from annotation.contracts import NewCompletion
from web.api.access import TokenAuth
from web.api.idempotency import keeps_key, once
from web.api.problems import Problem
from web.api.requests import Body
from web.tokens import LABEL

from . import services
from .blinding import blinded
from .labelling_api import REFUSALS, PairOut, Turn, labeller, pair_shown
from .models import Assignment
from .records import ConversationMoved, Talk
from .selectors import comparison_for
from .services.conversing import ENOUGH
from .speaking import answers_heard

router = Router(tags=["labelling"], auth=TokenAuth(LABEL))


class ConversationOut(Schema):
    """Where the rater's conversation stands. With a `pair` its answers are to be compared (or skipped) as any
    pair; else turn `turn` of `turns` of the conversation `id` is to be written, `id` null for the first message of a
    new one. `messages` is the thread so far, as the rater may read it; `says` tells why nothing can be written."""

    id: UUID | None
    turn: int
    turns: int
    messages: list[Turn]
    pair: PairOut | None
    says: str


class MessageAnswered(ConversationOut):
    """`same`: both answers were the same, so that nothing is to be compared and the answer goes on."""

    same: bool


class MessageSent(Body):
    """`text`, as turn `turn` of `conversation`, both as the conversation was last told of; null and 1 begin a new
    one."""

    conversation: UUID | None
    turn: Annotated[StrictInt, Field(ge=1, le=MOST_TURNS)]
    text: str = Field(min_length=1, max_length=100_000)


class Ended(Body):
    conversation: UUID


@router.post(
    "/labelling/{campaign_id}/conversation",
    response={200: ConversationOut, **REFUSALS},
    url_name="conversation",
)
def conversation_read(request: HttpRequest, campaign_id: UUID) -> ConversationOut:
    """Where the conversation stands; a pair of it that waits is held for the rater again."""
    campaign, rater = labeller(request, campaign_id)
    return _shown(rater, campaign, services.conversation_open(rater=rater, campaign=campaign))


@router.post(
    "/labelling/{campaign_id}/conversation/say",
    response={200: MessageAnswered, **REFUSALS, 503: Problem},
    url_name="conversation_say",
)
@keeps_key
def conversation_say(
    request: HttpRequest, campaign_id: UUID, message: MessageSent
) -> MessageAnswered:
    """Send a message to the policy and wait for both answers, up to minutes. Sent again, its turn is made once;
    503 where the policy is silent or breaks off: nothing was kept, send it again."""
    campaign, rater = labeller(request, campaign_id)
    asked = _opened(rater, campaign, message)
    compared = True
    if asked is not None:
        answers = _whole(campaign, asked)
        try:
            compared = services.turn_keep(
                rater=rater, campaign=campaign, asked=asked, answers=answers
            )
        except (
            ConversationMoved
        ):  # where the same message was sent twice at once, the other made the turn
            if _opened(rater, campaign, message) is not None:
                raise
    talk = services.conversation_resume(rater=rater, campaign=campaign)
    return MessageAnswered(**_shown(rater, campaign, talk).dict(), same=not compared)


@router.post(
    "/labelling/{campaign_id}/conversation/end",
    response={200: ConversationOut, **REFUSALS},
    url_name="conversation_end",
)
@once
def conversation_end(request: HttpRequest, campaign_id: UUID, wish: Ended) -> ConversationOut:
    """End the conversation: the next message begins another. Its pair is compared or skipped first."""
    campaign, rater = labeller(request, campaign_id)
    services.conversation_end(rater=rater, campaign=campaign, conversation_id=wish.conversation)
    return _shown(rater, campaign, services.conversation_resume(rater=rater, campaign=campaign))


def _opened(rater: Rater, campaign: Campaign, message: MessageSent) -> services.TurnAsked | None:
    return services.turn_open(
        rater=rater,
        campaign=campaign,
        conversation_id=message.conversation,
        number=message.turn,
        text=message.text,
    )


def _whole(campaign: Campaign, asked: services.TurnAsked) -> tuple[NewCompletion, NewCompletion]:
    heard = answers_heard(line_id=campaign.line, messages=asked.messages)
    while True:
        try:
            next(heard)
        except StopIteration as whole:
            found: tuple[NewCompletion, NewCompletion] = whole.value
            return found


def _shown(rater: Rater, campaign: Campaign, talk: Talk) -> ConversationOut:
    going_on = talk.under_way
    _, messages = blinded(campaign=campaign, messages=talk.messages, texts=())
    enough = not talk.waits and not services.budget_left(campaign)
    return ConversationOut(
        id=talk.id if going_on else None,
        turn=talk.turn if going_on else 1,
        turns=campaign.turns or 0,
        messages=[Turn(**asdict(turn)) for turn in messages] if going_on else [],
        pair=_pair(rater, talk),
        says=ENOUGH if enough else "",
    )


def _pair(rater: Rater, talk: Talk) -> PairOut | None:
    if talk.waits is None:
        return None
    held = Assignment.objects.values_list("lease_expires_at", flat=True).get(pk=talk.waits)
    view = comparison_for(rater=rater, assignment_id=talk.waits)
    return pair_shown(view, held.isoformat() if held else "")
