"""Middleware: a page waits for the database no longer than a person would."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from .silence import database_patience


def page_patience(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        seconds = settings.OUTERLOOP_PAGE_SECONDS
        with database_patience(seconds, setting="OUTERLOOP_PAGE_SECONDS"):
            return get_response(request)

    return middleware
