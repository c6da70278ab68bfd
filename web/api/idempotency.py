"""Each write once: a request that comes again with its `Idempotency-Key` gets the first answer.

For writes that take a network's retry as a second wish. The answer is kept for a day, beside the token
and the key; the same key with another request is refused. An answer that refused the request is not kept:
the request may be mended and sent again under its key.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja.decorators import decorate_view

from web.clock import from_now
from web.models import KeptAnswer

from .access import caller
from .problems import Refused, field_refused, problem_response

KEPT = timedelta(days=1)
LONGEST_KEY = 100
TOO_LONG = "The request is too long: send a file instead, or fewer rows at a time."
UNREADABLE = "The body cannot be read: send JSON, or a form with a file."
Run = Callable[..., HttpResponse]


def idempotency_key(request: HttpRequest) -> str:
    """The request's key; "" without one. `Refused` for one that cannot be kept."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise field_refused("Idempotency-Key", f"Send 1 to {LONGEST_KEY} printable characters.")
    return key


def _once(run: Run) -> Run:
    @functools.wraps(run)
    def answered(request: HttpRequest, **given: Any) -> HttpResponse:
        try:
            key = idempotency_key(request)
            return _answered_once(run, request, key, given) if key else run(request, **given)
        except Refused as refused:
            return problem_response(refused)

    return answered


Operation = TypeVar("Operation", bound=Callable[..., Any])
KEEPERS: set[Callable[..., Any]] = set()


def keeps_key(operation: Operation) -> Operation:
    """Of an operation that itself does once what comes again under a key: the document names its header."""
    KEEPERS.add(operation)
    return operation


def once(operation: Operation) -> Operation:
    """Over an operation's function, under the router's decorator: the first answer is kept for its key."""
    decorated: Operation = decorate_view(_once)(keeps_key(operation))
    return decorated


def _answered_once(run: Run, request: HttpRequest, key: str, given: dict[str, Any]) -> HttpResponse:
    """The request is counted and read first: what waits for a slow upload holds no row meanwhile."""
    token, digest = caller(request).pk, _digest(request)
    KeptAnswer.objects.filter(created_at__lt=from_now(-KEPT)).delete()
    return _kept_or_run(token, key, digest, functools.partial(run, request, **given))


@transaction.atomic
def _kept_or_run(
    token: UUID, key: str, digest: str, run: Callable[[], HttpResponse]
) -> HttpResponse:
    """A second request with the key waits at the first one's row until that has committed."""
    kept, fresh = KeptAnswer.objects.get_or_create(
        token=token, key=key, defaults={"digest": digest}
    )
    if not fresh:
        return _again(kept, digest)
    with transaction.atomic():
        answer = run()
    if answer.status_code >= 400:
        kept.delete()
        return answer
    kept.status, kept.body = answer.status_code, answer.content.decode()
    kept.save(update_fields=["status", "body"])
    return answer


def _again(kept: KeptAnswer, digest: str) -> HttpResponse:
    if kept.digest != digest:
        raise field_refused(
            "Idempotency-Key", "It was used for another request: draw a new key for a new request."
        )
    return HttpResponse(
        kept.body,
        status=kept.status,
        content_type="application/json; charset=utf-8",
        headers={"Idempotent-Replay": "true"},
    )


def _digest(request: HttpRequest) -> str:
    """Of the method, the address and what was sent; of a form its fields and files."""
    found = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    try:
        if (request.content_type or "").startswith("multipart/"):
            found.update(repr(sorted(request.POST.lists())).encode())
            for name, files in sorted(request.FILES.lists()):
                for file in files:
                    found.update(f"{name} {file.name}\n".encode())
                    for chunk in file.chunks():
                        found.update(chunk)
                    file.seek(0)
        else:
            found.update(request.body)
    except RequestDataTooBig as error:
        raise Refused(413, TOO_LONG) from error
    except (MultiPartParserError, SuspiciousOperation) as error:  # such as too many files
        raise Refused(400, UNREADABLE) from error
    return found.hexdigest()
