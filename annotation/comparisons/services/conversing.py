"""A rater writes to the deployed policy: what was said becomes a pair, and the pair a turn of the conversation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign, GuidelineVersion
from annotation.campaigns.selectors import guidelines_current
from annotation.comparisons import digests
from annotation.comparisons.conversations import (
    conversation_now,
    conversation_row,
    reply_fix,
    turn_said,
)
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Completion,
    Conversation,
    ConversationTurn,
    Prompt,
    Purpose,
    RootSplit,
    Split,
)
from annotation.comparisons.records import (
    AnswerFixed,
    AnswerInvalid,
    ConversationMoved,
    QueueClosed,
    Talk,
)
from annotation.contracts import Message, NewCompletion, NewPair, NewPrompt

from .admission import admission_check
from .leases import lease_end, rater_queue_locked, text_checked
from .material import completion_row, pairs_create, prompts_ensure
from .queue import budget_left
from .reopening import assignment_reopen

SOURCE = "conversation"
ENOUGH = "This campaign has all the answers that it wants. Thank you."
NO_TALK = "People write to the policy in campaigns of conversations only."
KEPT_FOR_EVALUATION = (
    "A conversation that begins with these words is kept for measuring, so that your answers would teach nothing:"
    " begin with other words."
)


@dataclass(frozen=True)
class TurnAsked:
    """A message that the policy is to answer: the thread with it at its end, and which of the two answers
    (1, 2) stands left."""

    talk: Talk
    messages: tuple[Message, ...]
    shown_order: tuple[int, int]
    guidelines: GuidelineVersion | None


def turn_open(
    *, rater: Rater, campaign: Campaign, conversation_id: UUID | None, number: int, text: str
) -> TurnAsked | None:
    """Check that the message may be sent now; nothing is written. None where this very message has its turn
    already, so that sending twice counts once.

    Raises `AnswerInvalid` for a text that cannot be sent, `ConversationMoved`, and as the queue does.
    """
    if not campaign.converses:
        raise AnswerInvalid(NO_TALK)
    guidelines = guidelines_current(campaign=campaign)
    admission_check(rater, campaign, guidelines)
    said = text_checked("message", text.strip())
    if not said:
        raise AnswerInvalid("Write a message first.")
    talk = conversation_now(rater=rater, campaign=campaign)
    if _already(talk, conversation_id, number, said):
        return None
    _place_check(talk, conversation_id, number)
    if not budget_left(campaign):
        raise QueueClosed(ENOUGH)
    before = talk.messages if talk.under_way else ()
    messages = (*before, {"role": "user", "content": said})
    _root_check(campaign, messages)
    order = (1, 2) if secrets.randbelow(2) else (2, 1)
    return TurnAsked(talk, messages, order, guidelines)


def conversation_open(*, rater: Rater, campaign: Campaign) -> Talk:
    """Where the conversation of one who may write now stands, with what waits in it held by the rater.

    Raises `AnswerInvalid` where nobody writes to the policy, and as the queue does.
    """
    if not campaign.converses:
        raise AnswerInvalid(NO_TALK)
    admission_check(rater, campaign, guidelines_current(campaign=campaign))
    return conversation_resume(rater=rater, campaign=campaign)


@transaction.atomic
def turn_keep(
    *, rater: Rater, campaign: Campaign, asked: TurnAsked, answers: Sequence[NewCompletion]
) -> bool:
    """Make the turn: an ordinary training pair, held by the rater; whether there is something to compare.

    Where both answers are the same, or just these were compared in the campaign before, nothing is asked and
    the first one goes on. Raises `ConversationMoved` where another tab was quicker.
    """
    queue = rater_queue_locked(rater=rater, campaign_id=campaign.pk)
    talk = conversation_now(rater=rater, campaign=campaign)
    if talk != asked.talk:
        raise ConversationMoved
    if talk.under_way:
        reply_fix(talk=talk, rater=rater)
    conversation = _conversation(rater, campaign, talk)
    (prompt,) = prompts_ensure(
        line_id=campaign.line,
        prompts=[NewPrompt(asked.messages, source=SOURCE)],
        shares=digests.JUDGED_SHARES,
    )
    comparison = _pair_made(campaign, prompt, answers)
    if comparison is not None:
        _given(comparison, rater, asked, lease_end(campaign))
        queue.leases += 1
        queue.save(update_fields=["leases"])
    ConversationTurn.objects.create(
        conversation=conversation,
        number=talk.turn if talk.under_way else 1,
        prompt=prompt,
        comparison=comparison,
        reply=None if comparison else _completion_kept(prompt, answers[0]),
    )
    return comparison is not None


@transaction.atomic
def conversation_end(*, rater: Rater, campaign: Campaign, conversation_id: UUID) -> None:
    """Leave the conversation; the next message begins another. Raises `AnswerInvalid` while two of its
    answers wait to be compared."""
    rater_queue_locked(rater=rater, campaign_id=campaign.pk)
    talk = conversation_now(rater=rater, campaign=campaign)
    if talk.id != conversation_id:
        return  # it has ended already
    if talk.waits:
        raise AnswerInvalid("Compare the two answers first, or skip them: then it can be ended.")
    Conversation.objects.filter(pk=conversation_id).update(ended_at=timezone.now())


def conversation_resume(*, rater: Rater, campaign: Campaign) -> Talk:
    """Where the conversation stands, with a pair of it whose lease ran out held by the rater again."""
    talk = conversation_now(rater=rater, campaign=campaign)
    if talk.waits is None:
        return talk
    if Assignment.objects.filter(pk=talk.waits, state=AssignmentState.LEASED).exists():
        return talk
    try:
        assignment_reopen(rater=rater, assignment_id=talk.waits)
    except AnswerFixed:  # others answered it at this very moment
        return conversation_now(rater=rater, campaign=campaign)
    return talk


def _already(talk: Talk, conversation_id: UUID | None, number: int, said: str) -> bool:
    begun = conversation_id is None and number == 1
    if not talk.under_way or not (begun or conversation_id == talk.id):
        return False
    return turn_said(talk=talk, number=number) == said


def _place_check(talk: Talk, conversation_id: UUID | None, number: int) -> None:
    wanted = (talk.id, talk.turn) if talk.under_way else (None, 1)
    if talk.waits or (conversation_id, number) != wanted:
        raise ConversationMoved


def _root_check(campaign: Campaign, messages: Sequence[Message]) -> None:
    rows = RootSplit.objects.filter(line=campaign.line, root_hash=digests.root_hash(messages))
    if rows.filter(split=Split.EVALUATION).exists():
        raise AnswerInvalid(KEPT_FOR_EVALUATION)


def _conversation(rater: Rater, campaign: Campaign, talk: Talk) -> Conversation:
    """The one that goes on, or a new one in place of one that is over."""
    row = conversation_row(rater=rater, campaign=campaign)
    if row is not None and talk.under_way:
        return row
    if row is not None:
        Conversation.objects.filter(pk=row.pk).update(ended_at=timezone.now())
    return Conversation.objects.create(campaign=campaign, rater=rater)


def _pair_made(
    campaign: Campaign, prompt: Prompt, answers: Sequence[NewCompletion]
) -> Comparison | None:
    pair = NewPair(prompt.pk, tuple(answers), strategy=SOURCE)
    purpose = Purpose.TRAINING
    if not pairs_create(campaign=campaign, purpose=purpose, pairs=[pair], source=SOURCE):
        return None
    digest = digests.pair_digest(prompt.digest, [digests.text_digest(a.text) for a in answers])
    rows = Comparison.objects.filter(campaign=campaign, purpose=purpose, round_id=None)
    return rows.get(pair_digest=digest)


def _given(comparison: Comparison, rater: Rater, asked: TurnAsked, until: datetime) -> None:
    comparison.leased += 1
    comparison.save(update_fields=["leased"])
    Assignment.objects.create(
        comparison=comparison,
        rater=rater,
        shown_order=list(asked.shown_order),
        lease_expires_at=until,
        guideline_version=asked.guidelines,
    )


def _completion_kept(prompt: Prompt, answer: NewCompletion) -> Completion:
    row = completion_row(prompt, answer)
    if row._state.adding:
        row.save(force_insert=True)
    return row
