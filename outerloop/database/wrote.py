"""Middleware: whoever has written something is shown the database itself until every copy has it."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from web.history import SAFE, WROTE

from .replica import LOOK_SECONDS, configured

Answer = Callable[[HttpRequest], HttpResponseBase]


def wrote_marked(get_response: Answer) -> Answer:
    """Only where there is a replica. Programs with tokens keep no cookies: none of their reads of history
    shows what they themselves write."""
    if not configured():
        raise MiddlewareNotUsed

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method not in (*SAFE, "OPTIONS") and "Authorization" not in request.headers:
            seconds = settings.OUTERLOOP_REPLICA_SECONDS + 2 * LOOK_SECONDS
            response.set_cookie(
                WROTE, "1", max_age=int(seconds), httponly=True, samesite="Lax",
                secure=settings.SESSION_COOKIE_SECURE,
            )  # fmt: skip
        return response

    return middleware
