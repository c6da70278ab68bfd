"""The address at which processes leave word for each other."""

from __future__ import annotations

from django.conf import settings
from kombu import Connection

from outerloop.settings.addresses import broker_transport


def broker_connection() -> Connection:
    """A connection, not yet made, to the broker of the settings; connecting and reading are bounded."""
    return Connection(
        settings.CELERY_BROKER_URL,
        ssl=settings.CELERY_BROKER_USE_SSL,
        connect_timeout=settings.CELERY_BROKER_CONNECTION_TIMEOUT,
        transport_options=broker_transport(settings.CELERY_BROKER_URL),
    )
