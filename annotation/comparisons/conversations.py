"""Where a rater's conversation with the policy stands, read from its turns and what was said of them."""

from __future__ import annotations

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign

from . import digests
from .models import (
    Assignment,
    AssignmentState,
    Completion,
    Conversation,
    ConversationTurn,
    JudgmentValue,
)
from .records import Talk
from .scale import TIE


def conversation_now(*, rater: Rater, campaign: Campaign) -> Talk:
    """The conversation that the rater is in; one without an id where there is none."""
    rows = ConversationTurn.objects.filter(
        conversation__campaign=campaign,
        conversation__rater=rater,
        conversation__ended_at__isnull=True,
    )
    last = rows.select_related("prompt", "comparison", "reply").order_by("-number").first()
    if last is None:
        return Talk()
    reply = last.reply or _better(last, rater)
    if reply is None:
        return _waiting(last, rater)
    messages = (*last.prompt.messages, {"role": "assistant", "content": reply.text})
    over = last.number >= (campaign.turns or 0)
    return Talk(last.conversation_id, last.number + 1, messages, over=over)


def turn_said(*, talk: Talk, number: int) -> str | None:
    """What the rater wrote in that turn; None where it has not been written."""
    rows = ConversationTurn.objects.filter(conversation=talk.id, number=number)
    found = rows.select_related("prompt").first()
    return None if found is None else str(found.prompt.messages[-1]["content"])


def reply_fix(*, talk: Talk, rater: Rater) -> None:
    """Write down which answer the conversation goes on with: from now on an edit changes it no more."""
    for turn in ConversationTurn.objects.filter(conversation=talk.id, reply=None):
        turn.reply = _better(turn, rater)
        turn.save(update_fields=["reply"])


def conversation_row(*, rater: Rater, campaign: Campaign) -> Conversation | None:
    """The row of the conversation that has not ended."""
    return Conversation.objects.filter(campaign=campaign, rater=rater, ended_at=None).first()


def _waiting(last: ConversationTurn, rater: Rater) -> Talk:
    """A turn without an answer: it waits to be compared while that is possible, and else it was the last."""
    mine = Assignment.objects.get(comparison=last.comparison_id, rater=rater)
    held = mine.state == AssignmentState.LEASED
    again = mine.state == AssignmentState.EXPIRED and last.comparison and last.comparison.open
    talk = Talk(last.conversation_id, last.number, tuple(last.prompt.messages), over=True)
    if held or again:
        return Talk(talk.id, talk.turn, talk.messages, waits=mine.pk)
    return talk


def _better(turn: ConversationTurn, rater: Rater) -> Completion | None:
    """The answer that the rater's judgment in force prefers; of a tie one that was drawn."""
    values = JudgmentValue.objects.filter(
        judgment__active=True,
        judgment__assignment__comparison=turn.comparison_id,
        judgment__assignment__rater=rater,
        judgment__assignment__state=AssignmentState.SUBMITTED,
        criterion__key=OVERALL,
    )
    value = values.values_list("value", flat=True).first()
    if value is None or turn.comparison is None:
        return None
    drawn = 1 if digests.uniform("tied answers", turn.comparison.pair_digest) < 0.5 else 2
    slot = drawn if value == TIE else 1 if value < TIE else 2
    return turn.comparison.slots.select_related("completion").get(position=slot).completion
