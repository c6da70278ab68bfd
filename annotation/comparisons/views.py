"""The compare page and its JSON doors.

Each door opens only to a person who may label on the campaign's line, and reaches a pair only through the
person's own rater, so that nobody meets another's pairs or answers.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.accounts.models import Rater, TextView
from annotation.accounts.services import preferences_keep, rater_for
from annotation.campaigns.models import OVERALL, Campaign, GuidelineVersion
from annotation.campaigns.selectors import guidelines_current, opt_in_missing
from annotation.campaigns.services import guidelines_acknowledge
from web.access import ADJUDICATOR, ANNOTATOR, person, role_required

from . import services
from .conversation_views import conversation_shown
from .doors import Body, campaign_for_labelling, json_door
from .gold import gold_told
from .keys import given_keys
from .levels import letters, sides_of
from .page_texts import keys_help, page_text, scale_steps, share_spent_text
from .payloads import (
    answer_read,
    count_read,
    draft_read,
    guidelines_payload,
    id_read,
    ids_read,
    item_payload,
    preferences_read,
    progress_payload,
    text_read,
)
from .records import (
    FLAGS,
    REASONS,
    SKIP_REASONS,
    AnswerInvalid,
    GuidelinesUnread,
    OptInMissing,
    QueueClosed,
    SubmitOutcome,
    Talk,
)
from .selectors import comparison_for, last_settled, own_pair, progress_for
from .shares import gate_share_spent

MOST_ASKED = 4  # the pair shown and three ahead


@require_GET
@never_cache
@role_required(ANNOTATOR, ADJUDICATOR)
def compare(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for_labelling(request, campaign_id)
    rater = rater_for(user=person(request))
    if opt_in_missing(rater=rater, campaign=campaign):
        return redirect("comparisons:warning", campaign.pk)
    criteria = [c for c in campaign.criteria.all() if c.key != OVERALL]
    wishes = person(request).one_gesture
    # Where answers are ranked a number picks one up, and none can be a whole answer.
    more = bool(criteria) or campaign.ranks
    one_gesture = wishes and not more
    names = letters(campaign.answers)
    context = {
        "campaign": campaign,
        "criteria": criteria,
        "scale": scale_steps(),
        "letters": names,
        "flag_sides": list(zip(sides_of(range(campaign.answers)), names, strict=True)),
        "flags": [{"key": key, "label": label} for key, label in FLAGS.items()],
        "reasons": [{"value": key, "label": label} for key, label in REASONS.items()],
        "skip_reasons": [{"value": key, "label": label} for key, label in SKIP_REASONS.items()],
        "keys": keys_help(
            left_out=[
                *([] if criteria else ["criteria"]),
                *([] if campaign.span_labels else ["marks"]),
                *(["park"] if campaign.converses else []),
            ],
            one_gesture=one_gesture,
            ranks=campaign.ranks,
        ),
        "one_gesture": one_gesture,
        "opening": campaign.opening,
        "toured": person(request).toured,
        "gesture_falls_back": wishes and more,
        "config": {**_config(request, campaign, rater), "one_gesture": one_gesture},
    }
    return render(request, "comparisons/compare.html", context)


def _config(request: HttpRequest, campaign: Campaign, rater: Rater) -> dict[str, Any]:
    doors = (
        "next",
        "release",
        "undo",
        "edit",
        "reopen",
        "acknowledge",
        "preferences",
        "say",
        "end",
    )
    view = person(request).text_view or ("rendered" if campaign.markdown else "raw")
    return {
        "campaign": str(campaign.pk),
        "user": str(request.user.pk),
        "language": getattr(request, "LANGUAGE_CODE", "en"),
        "urls": {name: reverse(f"comparisons:{name}", args=[campaign.pk]) for name in doors},
        "open": _named_pair(request),
        "ranks": campaign.ranks,
        "span_labels": campaign.span_labels,
        "converses": campaign.converses,
        "keys": {"given": given_keys(ranks=campaign.ranks), "own": person(request).compare_keys},
        "parked": services.parked_by(rater=rater, campaign_id=campaign.pk),
        "break_minutes": person(request).break_minutes,
        "raw": view == TextView.RAW,
        "lease_seconds": 60 * campaign.lease_minutes,
        "guidelines": guidelines_payload(guidelines_current(campaign=campaign)),
        "progress": progress_payload(progress_for(rater=rater, campaign=campaign)),
        "text": page_text(),
    }


def _named_pair(request: HttpRequest) -> str | None:
    """The pair that the address asks for by `?open=`, as one's own answers lead to it."""
    try:
        return str(uuid.UUID(request.GET.get("open", "")))
    except ValueError:
        return None


@json_door
def next_pairs(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """Up to `count` leased pairs that the page does not hold yet, or why there is none.

    `held` names the pairs that the page shows, holds ahead, or has answers to on their way: their
    leases are renewed, and those that are gone come back as `lost`. `prefer` names the pair that was
    open before a reload: it comes first while it is still leased.
    """
    held, count = ids_read(body, "held"), count_read(body, "count", MOST_ASKED)
    prefer = None if body.get("prefer") is None else id_read("prefer", body["prefer"])
    talk = Talk()
    try:
        if campaign.converses:
            talk = services.conversation_resume(rater=rater, campaign=campaign)
        leases = services.queue_lease(
            rater=rater,
            campaign=campaign,
            held=held,
            count=count,
            prefer=talk.waits or prefer,
            claim=not talk.under_way,
        )
    except GuidelinesUnread as unread:
        version = GuidelineVersion.objects.get(pk=unread.version_id)
        return {"items": [], "guidelines": guidelines_payload(version)}
    except (OptInMissing, QueueClosed) as closed:
        return {"items": [], "says": str(closed)}
    if campaign.converses and not leases:
        return {"items": [], **conversation_shown(campaign, talk)}
    if not leases:
        return {
            "items": [],
            "says": share_spent_text(gate_share_spent(rater=rater, campaign=campaign)),
        }
    leased = [lease.assignment_id for lease in leases]
    views = [comparison_for(rater=rater, assignment_id=pk) for pk in leased if pk not in held]
    lost = [str(pk) for pk in held if pk not in leased]
    talks = conversation_shown(campaign, talk) if campaign.converses else {}
    return {"items": [item_payload(view) for view in views], "lost": lost, **talks}


@json_door
def release(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """Pairs that a page held ahead when it closed go back to the queue."""
    services.leases_give_back(rater=rater, campaign=campaign, assignment_ids=ids_read(body, "held"))
    return {}


def _answer_door(record: Callable[..., SubmitOutcome]) -> Callable[..., HttpResponseBase]:
    """The door to one way of recording an answer: a first one, or one that supersedes it."""

    @json_door
    def door(
        *, rater: Rater, campaign: Campaign, body: Body, assignment_id: uuid.UUID
    ) -> dict[str, Any]:
        outcome = record(
            rater=rater,
            assignment_id=assignment_id,
            answer=answer_read(body),
            idempotency_key=text_read(body, "key"),
        )
        told = gold_told(assignment_id=assignment_id) if campaign.gold_feedback else ""
        return {"revision": outcome.revision, "surplus": outcome.surplus, "told": told}

    return door


submit = _answer_door(services.judgment_submit)
revise = _answer_door(services.judgment_revise)


@json_door
def draft(
    *, rater: Rater, campaign: Campaign, body: Body, assignment_id: uuid.UUID
) -> dict[str, Any]:
    saved_at = services.draft_save(rater=rater, assignment_id=assignment_id, draft=draft_read(body))
    return {"saved_at": saved_at.isoformat()}


@json_door
def skip(
    *, rater: Rater, campaign: Campaign, body: Body, assignment_id: uuid.UUID
) -> dict[str, Any]:
    reason = text_read(body, "reason")
    if reason not in SKIP_REASONS:
        raise AnswerInvalid(f"reason: use one of {', '.join(SKIP_REASONS)}.")
    services.assignment_skip(rater=rater, assignment_id=assignment_id, reason=reason)
    return {}


def _last_settled(
    rater: Rater, campaign: Campaign, body: Body, *, skips: bool = False
) -> uuid.UUID:
    """The pair that the page names, or else the one this rater answered last (or skipped: `skips`)."""
    if "assignment" in body:
        named = id_read("assignment", body["assignment"])
        return own_pair(rater=rater, campaign=campaign, assignment_id=named)
    last = last_settled(rater=rater, campaign=campaign, skips=skips)
    if last is None:
        raise AnswerInvalid("There is no answer of yours to go back to yet.")
    return last


@json_door
def undo(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """Take the last answer or skip back; the pair returns with what was said as its draft."""
    assignment_id = _last_settled(rater, campaign, body, skips=True)
    services.assignment_undo(rater=rater, assignment_id=assignment_id)
    item = item_payload(comparison_for(rater=rater, assignment_id=assignment_id))
    return {"item": {**item, "answer": item["draft"]}}


@json_door
def edit(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """The last answered pair with its answer, which stays in force until it is sent again."""
    assignment_id = _last_settled(rater, campaign, body)
    view = comparison_for(rater=rater, assignment_id=assignment_id)
    if view.answer is None:
        raise AnswerInvalid("This pair has no answer that could be edited.")
    return {"item": item_payload(view)}


@json_door
def reopen(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """One of the person's own pairs, whatever became of it: answered, skipped, parked, or left."""
    named = id_read("assignment", body.get("assignment"))
    assignment_id = own_pair(rater=rater, campaign=campaign, assignment_id=named)
    unparked = services.assignment_reopen(rater=rater, assignment_id=assignment_id)
    view = comparison_for(rater=rater, assignment_id=assignment_id)
    return {"item": item_payload(view), "unparked": unparked}


@json_door
def park(
    *, rater: Rater, campaign: Campaign, body: Body, assignment_id: uuid.UUID
) -> dict[str, Any]:
    services.assignment_park(rater=rater, assignment_id=assignment_id, draft=draft_read(body))
    return {}


@json_door
def acknowledge(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    pk = body.get("version")
    version = campaign.guidelines.filter(pk=pk).first() if type(pk) is int else None
    if version is None:
        raise AnswerInvalid("version: there is no such version of the guidelines.")
    guidelines_acknowledge(rater=rater, version=version)
    return {}


@json_door
def preferences(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """What the page remembers of the person, here and on their other devices."""
    assert rater.user is not None  # whoever passed the door is a person
    changed = preferences_read(body)
    preferences_keep(user=rater.user, **changed)
    return {"keys": rater.user.compare_keys}
