"""The doors of a live conversation: a message to the policy, whose two answers come back as they are written,
and the end of the conversation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from annotation.accounts.models import Rater
from annotation.campaigns.models import MOST_TURNS, Campaign
from annotation.contracts import AnnotationError
from web.voices import PolicySilent

from . import services
from .blinding import blinded
from .conversations import conversation_now
from .doors import Body, Events, json_door
from .payloads import (
    conversation_payload,
    count_read,
    id_read,
    item_payload,
    progress_payload,
    text_read,
)
from .records import Talk
from .selectors import comparison_for, progress_for
from .services.conversing import ENOUGH
from .speaking import AnswerUnderWay, answers_heard, read_so_far

OFTEN_SECONDS = 0.2  # between two looks at answers that are being written


def conversation_shown(campaign: Campaign, talk: Talk) -> dict[str, Any]:
    """The conversation for the page on which it is written, or that the campaign wants no more answers."""
    if not talk.waits and not services.budget_left(campaign):
        return {"says": ENOUGH}
    _, messages = blinded(campaign=campaign, messages=talk.messages, texts=())
    return {"conversation": conversation_payload(talk, messages, turns=campaign.turns or 0)}


@json_door
def say(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any] | Events:
    """Send a message to the policy: `text`, as turn `turn` of `conversation` (none: the first of a new one).

    Answers with lines of JSON: what may be read of the two answers so far (`left`, `right`; neither: they are
    being written), and at the end `items` with the pair, as the queue gives one, and `conversation`; where
    nothing is left to compare there are no items. An `error` in a line is the last one: nothing was kept.
    """
    conversation = body.get("conversation")
    asked = services.turn_open(
        rater=rater,
        campaign=campaign,
        conversation_id=None if conversation is None else id_read("conversation", conversation),
        number=count_read(body, "turn", MOST_TURNS),
        text=text_read(body, "text"),
    )
    if asked is None:
        return _turn_shown(rater, campaign)
    return _spoken(rater, campaign, asked)


@json_door
def end(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """End the conversation that the body names; the next message begins another."""
    conversation = id_read("conversation", body.get("conversation"))
    services.conversation_end(rater=rater, campaign=campaign, conversation_id=conversation)
    return conversation_shown(campaign, conversation_now(rater=rater, campaign=campaign))


def _spoken(rater: Rater, campaign: Campaign, asked: services.TurnAsked) -> Events:
    heard = answers_heard(line_id=campaign.line, messages=asked.messages)
    shown_at = 0.0
    try:
        while True:
            try:
                answers = next(heard)
            except StopIteration as whole:
                completions = whole.value
                break
            if time.monotonic() - shown_at >= OFTEN_SECONDS:
                shown_at = time.monotonic()
                yield _written(campaign, answers, asked.shown_order)
        compared = services.turn_keep(
            rater=rater, campaign=campaign, asked=asked, answers=completions
        )
    except (PolicySilent, AnnotationError) as error:
        yield {"error": str(error)}
        return
    finally:
        heard.close()
    progress = progress_payload(progress_for(rater=rater, campaign=campaign))
    yield {**_turn_shown(rater, campaign), "same": not compared, "progress": progress}


def _written(
    campaign: Campaign, answers: Sequence[AnswerUnderWay], shown_order: Sequence[int]
) -> dict[str, Any]:
    texts = read_so_far(campaign, [answers[slot - 1] for slot in shown_order])
    return {} if texts is None else {"left": texts[0], "right": texts[1]}


def _turn_shown(rater: Rater, campaign: Campaign) -> dict[str, Any]:
    """The pair that waits in the conversation, if one does, and the conversation."""
    talk = conversation_now(rater=rater, campaign=campaign)
    views = [comparison_for(rater=rater, assignment_id=talk.waits)] if talk.waits else []
    return {
        "items": [item_payload(view) for view in views],
        **conversation_shown(campaign, talk),
    }
