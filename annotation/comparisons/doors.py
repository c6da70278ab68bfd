"""What every JSON door of the compare page does: who may pass, what a body may be, how an error is told."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from annotation.accounts.services import rater_for
from annotation.campaigns.models import Campaign
from annotation.contracts import AnnotationError
from web.access import ADJUDICATOR, ANNOTATOR, person, require_role
from web.texts import storable

from .payloads import progress_payload
from .records import (
    AnswerFixed,
    AnswerInvalid,
    ConversationMoved,
    GuidelinesUnread,
    NotYours,
    OptInMissing,
    QueueClosed,
)
from .selectors import own_pair, progress_for

LARGEST_BODY, TOO_LONG = 200_000, "The request is too long."
Body = dict[str, Any]
Events = Generator[dict[str, Any]]
Door = Callable[..., dict[str, Any] | Events]


def campaign_for_labelling(request: HttpRequest, campaign_id: uuid.UUID) -> Campaign:
    """The campaign, for one who may label in it: 404 where there is none, 403 without the role."""
    campaign = get_object_or_404(Campaign, pk=campaign_id)
    require_role(request, ANNOTATOR, ADJUDICATOR, line_id=campaign.line)
    return campaign


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
    return (
        409
        if isinstance(
            error, AnswerFixed | ConversationMoved | GuidelinesUnread | OptInMissing | QueueClosed
        )
        else 400
    )


_OTHER = (
    "Somebody else has signed in with this browser. What you said is kept here, and sent when you sign in"
    " again as yourself."
)


def _meant_for_another(request: HttpRequest) -> bool:
    """Whether the page that asks was opened by somebody who is not the one signed in by now."""
    meant = request.headers.get("X-Person", "")
    return bool(meant) and meant != str(request.user.pk)


def json_door(door: Door) -> Callable[..., HttpResponseBase]:
    """A POST of JSON by a person who may label here; an error answers as {"error": sentence}.

    A door that gives events in place of an answer sends each as a line of JSON, as soon as it is there.
    """

    @require_POST
    @never_cache
    @functools.wraps(door)
    def view(request: HttpRequest, campaign_id: uuid.UUID, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return JsonResponse({"error": "Sign in again."}, status=401)
        if _meant_for_another(request):
            return JsonResponse({"error": _OTHER, "somebody_else": _OTHER}, status=401)
        campaign = campaign_for_labelling(request, campaign_id)
        rater = rater_for(user=person(request))
        try:
            if "assignment_id" in kwargs:
                own_pair(rater=rater, campaign=campaign, assignment_id=kwargs["assignment_id"])
            answer = door(rater=rater, campaign=campaign, body=_body(request), **kwargs)
        except AnnotationError as error:
            return JsonResponse({"error": str(error)}, status=_status(error))
        if not isinstance(answer, dict):
            return _streamed(answer)
        progress = progress_payload(progress_for(rater=rater, campaign=campaign))
        return JsonResponse({"progress": progress, **answer})

    return view


def _streamed(events: Events) -> StreamingHttpResponse:
    def lines() -> Iterator[bytes]:
        with closing(events):  # whoever leaves in the middle ends what makes them
            for event in events:
                yield json.dumps(event).encode() + b"\n"

    # A proxy that gathers an answer before it hands it on would make a stream of it that is none.
    return StreamingHttpResponse(
        lines(), content_type="application/x-ndjson", headers={"X-Accel-Buffering": "no"}
    )
