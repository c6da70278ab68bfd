"""Who may read the metrics: the bearer of the token, or a program on this machine; never everybody."""

from __future__ import annotations

import enum
import hmac
import ipaddress

from django.conf import settings
from django.http import HttpRequest

# A proxy on this machine also calls from 127.0.0.1; what it passes on carries one of these.
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP")


class Refusal(enum.Enum):
    CLOSED = "neither a token nor local reading is set up, or the caller is not local"
    UNKNOWN = "the token is missing or wrong"


def metrics_refusal(request: HttpRequest) -> Refusal | None:
    """Why the metrics are not shown to this request; None when they are."""
    token = settings.OUTERLOOP_METRICS_TOKEN
    if token and _token_sent(request, token):
        return None
    if settings.OUTERLOOP_METRICS_LOCAL and _is_local(request):
        return None
    return Refusal.UNKNOWN if token else Refusal.CLOSED


def _token_sent(request: HttpRequest, token: str) -> bool:
    kind, _, sent = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), token.encode())


def _is_local(request: HttpRequest) -> bool:
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
