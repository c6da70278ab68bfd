"""The id of a request, and the Content-Security-Policy: everything from this site, nothing inline."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from .tracing import log_context

requests_log = logging.getLogger("outerloop.requests")
# What a proxy may hand on; anything else is replaced, so that nobody writes into the log.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

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


def _sign_in_origins() -> list[str]:
    """Where signing in with OpenID Connect leads: browsers hold a form's redirects to form-action too."""
    providers = getattr(settings, "SOCIALACCOUNT_PROVIDERS", {})
    origins = set()
    for app in providers.get("openid_connect", {}).get("APPS", []):
        parts = urlsplit(app.get("settings", {}).get("server_url", ""))
        if parts.scheme and parts.netloc:
            origins.add(f"{parts.scheme}://{parts.netloc}")
    return sorted(origins)


def policy() -> str:
    forms = " ".join(["'self'", *_sign_in_origins()])
    return "; ".join(
        f"{name} {value}" for name, value in {**_DIRECTIVES, "form-action": forms}.items()
    )


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A response that brings its own policy (a self-contained report) keeps it."""
    value = policy()

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", value)
        return response

    return middleware


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
    requests_log.info("%s %s", request.method, request.path, extra=fields)
