"""Celery's doors to pushes. A lost message is made good by the sweep."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError

from web.jobs import jobs_waiting

from . import services
from .models import Push

log = logging.getLogger(__name__)


@shared_task(name="publishing.push_run")
def push_run(push_id: str) -> None:
    services.push_run(push_id=UUID(push_id))


@shared_task(name="publishing.sweep")
def sweep() -> None:
    """Take up pushes that wait for nobody; claiming makes a second sweep harmless."""
    for push_id in jobs_waiting(Push):
        push_run.delay(str(push_id))


def push_enqueue(push_id: UUID) -> None:
    """Hint at the push; when the broker is away the sweep finds it all the same."""
    try:
        push_run.delay(str(push_id))
    except OperationalError as error:
        log.warning("The push %s waits for the sweep, the broker is away: %s", push_id, error)
