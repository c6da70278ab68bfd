"""The key that signs sessions, links and events, which only some processes of an installation have."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def secret_key() -> str:
    """The site's key; `ImproperlyConfigured` in a process that was started without it."""
    try:
        return settings.SECRET_KEY
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(
            "OUTERLOOP_SECRET_KEY is none here: the site, the sending of webhooks and the command invite"
            " sign with it; give them the key itself."
        ) from error
