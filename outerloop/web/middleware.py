"""The Content-Security-Policy: everything from this site, nothing inline."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse

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
