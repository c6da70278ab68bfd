"""The id of a request, compressed pages, and the Content-Security-Policy: everything from this site,
nothing inline."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.urls import reverse

from .tracing import log_context

requests_log = logging.getLogger("outerloop.requests")
# What a proxy may hand on; anything else is replaced, so that nobody writes into the log.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

# Asked every few seconds by machines; their answers are in nobody's interest afterwards.
PROBES = ("/health/", "/metrics")

_DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def policy(forms_to: Iterable[str] = ()) -> str:
    """`forms_to`: origins to which a form may lead besides this site."""
    directives = {**_DIRECTIVES, "form-action": " ".join(["'self'", *forms_to])}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def sign_in_origins() -> list[str]:
    """Where signing in with OpenID Connect leads: browsers hold a form's redirects to form-action too.

    The providers of the settings and of the database, and what OUTERLOOP_SIGN_IN_ORIGINS adds for one
    that signs in at another host than its own.
    """
    configured = settings.SOCIALACCOUNT_PROVIDERS.get("openid_connect", {}).get("APPS", [])
    stored = apps.get_model("socialaccount", "SocialApp")._default_manager
    found: list[dict[str, Any]] = [app.get("settings", {}) for app in configured]
    found += stored.filter(provider="openid_connect").values_list("settings", flat=True)
    origins = {_origin(str(each.get("server_url", ""))) for each in found}
    return sorted(({*origins, *settings.SIGN_IN_ORIGINS}) - {""})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A response that brings its own policy (a self-contained report) keeps it."""
    value = policy()

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if "Content-Security-Policy" not in response.headers:
            wide = _may_sign_in(request, response)
            response.headers["Content-Security-Policy"] = (
                policy(sign_in_origins()) if wide else value
            )
        return response

    return middleware


def _may_sign_in(request: HttpRequest, response: HttpResponse) -> bool:
    """Whether it is a page of the account pages, where the forms that lead to a provider are."""
    account = reverse("account_login").removesuffix("login/")
    return request.path.startswith(account) and response.status_code < 500


def request_id(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Every answer and every log line carries the request's id: the proxy's X-Request-ID, or a new one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        identity = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        started = time.perf_counter()
        with log_context(request_id=identity):
            response = get_response(request)
            _request_log(request, response, time.perf_counter() - started)
        response.headers["X-Request-ID"] = identity
        return response

    return middleware


def _request_log(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    """One line a request, without its query: that may hold what people typed."""
    fields: dict[str, object] = {
        "status": response.status_code,
        "milliseconds": round(seconds * 1000, 1),
    }
    # Only where the page itself has looked at who is signed in: logging asks no database.
    person = getattr(request, "_cached_user", None)
    if person is not None and person.pk is not None:
        fields["user_id"] = str(person.pk)
    level = logging.DEBUG if request.path.startswith(PROBES) else logging.INFO
    requests_log.log(level, "%s %s", request.method, request.path, extra=fields)


class CompressedPages(GZipMiddleware):
    """HTML goes compressed; a file, a stream, and JSON whose ETag is its digest go as they are.

    Against BREACH the base class adds up to 100 random bytes to each answer, and Django masks the CSRF
    token anew in each.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
