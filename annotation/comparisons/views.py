"""The compare page and its JSON doors.

Each door opens only to a person who may label on the campaign's line, and reaches a pair only through the
person's own rater, so that nobody meets another's pairs or answers.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.accounts.models import Rater
from annotation.accounts.services import rater_for
from annotation.campaigns.models import OVERALL, Campaign, GuidelineVersion
from annotation.campaigns.selectors import guidelines_current
from annotation.campaigns.services import guidelines_acknowledge
from annotation.contracts import AnnotationError
from web.access import ADJUDICATOR, ANNOTATOR, person, require_role, role_required

from . import services
from .page_texts import keys_help, page_text, scale_steps, share_spent_text
from .payloads import (
    answer_read,
    count_read,
    draft_read,
    guidelines_payload,
    id_read,
    ids_read,
    item_payload,
    progress_payload,
    storable,
    text_read,
)
from .records import (
    FLAGS,
    SKIP_REASONS,
    AnswerFixed,
    AnswerInvalid,
    GuidelinesUnread,
    NotYours,
    QueueClosed,
    SubmitOutcome,
)
from .selectors import comparison_for, progress_for, recent_answers
from .shares import gate_share_spent

LARGEST_BODY, TOO_LONG = 200_000, "The request is too long."
MOST_ASKED = 4  # the pair shown and three ahead
Body = dict[str, Any]
Door = Callable[..., dict[str, Any]]


def campaign_for_labelling(request: HttpRequest, campaign_id: uuid.UUID) -> Campaign:
    """The campaign, for one who may label in it: 404 where there is none, 403 without the role."""
    campaign = get_object_or_404(Campaign, pk=campaign_id)
    require_role(request, ANNOTATOR, ADJUDICATOR, line_id=campaign.line)
    return campaign


@require_GET
@never_cache
@role_required(ANNOTATOR, ADJUDICATOR)
def compare(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for_labelling(request, campaign_id)
    rater = rater_for(user=person(request))
    criteria = [c for c in campaign.criteria.all() if c.key != OVERALL]
    wishes = person(request).one_gesture
    one_gesture = wishes and not criteria
    context = {
        "campaign": campaign,
        "criteria": criteria,
        "scale": scale_steps(),
        "flags": [{"key": key, "label": label} for key, label in FLAGS.items()],
        "skip_reasons": [{"value": key, "label": label} for key, label in SKIP_REASONS.items()],
        "keys": keys_help(has_criteria=bool(criteria), one_gesture=one_gesture),
        "one_gesture": one_gesture,
        "gesture_falls_back": wishes and bool(criteria),
        "config": {**_config(request, campaign, rater), "one_gesture": one_gesture},
    }
    return render(request, "comparisons/compare.html", context)


def _config(request: HttpRequest, campaign: Campaign, rater: Rater) -> dict[str, Any]:
    doors = ("next", "release", "undo", "edit", "acknowledge")
    return {
        "campaign": str(campaign.pk),
        "user": str(request.user.pk),
        "language": getattr(request, "LANGUAGE_CODE", "en"),
        "urls": {name: reverse(f"comparisons:{name}", args=[campaign.pk]) for name in doors},
        "lease_seconds": 60 * campaign.lease_minutes,
        "guidelines": guidelines_payload(guidelines_current(campaign=campaign)),
        "progress": progress_payload(progress_for(rater=rater, campaign=campaign)),
        "text": page_text(),
    }


def _body(request: HttpRequest) -> Body:
    try:
        raw = request.body
    except RequestDataTooBig as error:
        raise AnswerInvalid(TOO_LONG) from error
    if len(raw) > LARGEST_BODY:
        raise AnswerInvalid(TOO_LONG)
    try:
        body = json.loads(raw or b"{}", parse_constant=_constant_refused)
        can_be_kept = storable(body)
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid("The request is not JSON.") from error
    if not isinstance(body, dict):
        raise AnswerInvalid("The request is not a JSON object.")
    if not can_be_kept:
        raise AnswerInvalid(
            "The answer holds a NUL or half a character, which cannot be kept; remove it and send it again."
        )
    return body


def _constant_refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")  # NaN and the infinities, which Python's reader knows


def _status(error: AnnotationError) -> int:
    if isinstance(error, NotYours):
        return 404
    return 409 if isinstance(error, AnswerFixed | GuidelinesUnread | QueueClosed) else 400


def json_door(door: Door) -> Callable[..., HttpResponse]:
    """A POST of JSON by a person who may label here; an error answers as {"error": sentence}."""

    @require_POST
    @never_cache
    @functools.wraps(door)
    def view(request: HttpRequest, campaign_id: uuid.UUID, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"error": "Sign in again."}, status=401)
        campaign = campaign_for_labelling(request, campaign_id)
        rater = rater_for(user=person(request))
        try:
            answer = door(rater=rater, campaign=campaign, body=_body(request), **kwargs)
        except AnnotationError as error:
            return JsonResponse({"error": str(error)}, status=_status(error))
        progress = progress_payload(progress_for(rater=rater, campaign=campaign))
        return JsonResponse({"progress": progress, **answer})

    return view


@json_door
def next_pairs(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """Up to `count` leased pairs that the page does not hold yet, or why there is none.

    `held` names the pairs that the page shows, holds ahead, or has answers to on their way: their
    leases are renewed, and those that are gone come back as `lost`. `prefer` names the pair that was
    open before a reload: it comes first while it is still leased.
    """
    held, count = ids_read(body, "held"), count_read(body, "count", MOST_ASKED)
    prefer = None if body.get("prefer") is None else id_read("prefer", body["prefer"])
    try:
        leases = services.queue_lease(
            rater=rater, campaign=campaign, held=held, count=count, prefer=prefer
        )
    except GuidelinesUnread as unread:
        version = GuidelineVersion.objects.get(pk=unread.version_id)
        return {"items": [], "guidelines": guidelines_payload(version)}
    except QueueClosed as closed:
        return {"items": [], "says": str(closed)}
    if not leases:
        return {
            "items": [],
            "says": share_spent_text(gate_share_spent(rater=rater, campaign=campaign)),
        }
    leased = [lease.assignment_id for lease in leases]
    views = [comparison_for(rater=rater, assignment_id=pk) for pk in leased if pk not in held]
    lost = [str(pk) for pk in held if pk not in leased]
    return {"items": [item_payload(view) for view in views], "lost": lost}


@json_door
def release(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """Pairs that a page held ahead when it closed go back to the queue."""
    services.leases_give_back(rater=rater, campaign=campaign, assignment_ids=ids_read(body, "held"))
    return {}


def _answer_door(record: Callable[..., SubmitOutcome]) -> Callable[..., HttpResponse]:
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
        return {"revision": outcome.revision, "surplus": outcome.surplus}

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


def _last_answered(rater: Rater, campaign: Campaign, body: Body) -> uuid.UUID:
    """The pair that the page names, or else the one this rater answered last."""
    if "assignment" in body:
        return id_read("assignment", body["assignment"])
    recent = recent_answers(rater=rater, campaign=campaign, limit=1)
    if not recent:
        raise AnswerInvalid("There is no answer of yours to go back to yet.")
    return recent[0].assignment_id


@json_door
def undo(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """Take the last answer back; the pair returns with what was said as its draft."""
    assignment_id = _last_answered(rater, campaign, body)
    services.judgment_undo(rater=rater, assignment_id=assignment_id)
    item = item_payload(comparison_for(rater=rater, assignment_id=assignment_id))
    return {"item": {**item, "answer": item["draft"]}}


@json_door
def edit(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    """The last answered pair with its answer, which stays in force until it is sent again."""
    assignment_id = _last_answered(rater, campaign, body)
    view = comparison_for(rater=rater, assignment_id=assignment_id)
    if view.answer is None:
        raise AnswerInvalid("This pair has no answer that could be edited.")
    return {"item": item_payload(view)}


@json_door
def acknowledge(*, rater: Rater, campaign: Campaign, body: Body) -> dict[str, Any]:
    pk = body.get("version")
    version = campaign.guidelines.filter(pk=pk).first() if type(pk) is int else None
    if version is None:
        raise AnswerInvalid("version: there is no such version of the guidelines.")
    guidelines_acknowledge(rater=rater, version=version)
    return {}
