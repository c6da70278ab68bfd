"""Celery's door: send what is due. A message is only a hint; the schedule sends one every few seconds."""

from __future__ import annotations

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from outerloop.webhooks import sending, services

logger = logging.getLogger(__name__)


@shared_task(name="webhooks.send")
def send() -> None:
    sending.deliveries_send()
    services.log_prune()


def send_enqueue() -> None:
    """Ask the sender to look now; to be called after the deliveries are committed."""
    try:
        send.apply_async()
    except OperationalError as error:  # the schedule's own message comes
        logger.warning("webhooks: no message could be sent: %s", error)
