"""What follows from an attempt: done, tried again later, given up, or the webhook is stopped."""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta

from django.db import transaction

from web.clock import database_now

from .claims import Claim
from .models import Attempt, Delivery, DeliveryState, Webhook
from .notices import gave_up_tell, stopped_tell

logger = logging.getLogger(__name__)

# 10 s, 40 s, 160 s and so on, each a fifth shorter or longer by chance: eight tries in about fifteen hours.
TRIES = 8
FIRST_PAUSE = timedelta(seconds=10)
FACTOR = 4
JITTER = 0.2
# A webhook that fails is left alone a little between two requests of any kind, so that nobody is hammered.
LONGEST_REST = timedelta(minutes=5)
# Stopped after so many failures in a row, and only where they go on for so long.
STOP_FAILURES = 20
STOP_AFTER = timedelta(days=1)
GONE = 410


def pause_after(tries: int, *, drawn: float) -> timedelta:
    """How long to wait after the try of this number; `drawn` is uniform on [0, 1)."""
    longer: int = FACTOR ** (tries - 1)
    return FIRST_PAUSE * longer * (1 + JITTER * (2 * drawn - 1))


@transaction.atomic
def attempt_record(claim: Claim, *, status: int | None, milliseconds: int, error: str) -> None:
    """Write the attempt into the log and what follows from it; give the webhook back."""
    webhook = Webhook.objects.select_for_update().filter(pk=claim.webhook_id).first()
    if webhook is None:
        return  # deleted meanwhile
    delivery = Delivery.objects.select_for_update().get(pk=claim.delivery_id)
    Attempt.objects.create(delivery=delivery, status=status, milliseconds=milliseconds, error=error)
    if webhook.lease != claim.lease:  # the lease ran out: whoever has it now decides what follows
        logger.warning("webhook %s: an attempt outlasted its lease", webhook.pk)
        return
    webhook.lease = webhook.lease_expires_at = None
    if error:
        _failed(webhook, delivery, error, gone=status == GONE)
    else:
        _delivered(webhook, delivery)
    webhook.save()
    delivery.save()


def _delivered(webhook: Webhook, delivery: Delivery) -> None:
    delivery.state = DeliveryState.DELIVERED
    delivery.tries += 1
    webhook.failures, webhook.failing_since, webhook.rest_until = 0, None, None


def _failed(webhook: Webhook, delivery: Delivery, error: str, *, gone: bool) -> None:
    now = database_now()
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    webhook.rest_until = now + min(timedelta(seconds=2 ** min(webhook.failures, 10)), LONGEST_REST)
    if delivery.state == DeliveryState.WAITING:
        delivery.tries += 1
        delivery.next_try_at = now + pause_after(delivery.tries, drawn=random.random())
        if delivery.tries >= TRIES:
            delivery.state = DeliveryState.GIVEN_UP
            gave_up_tell(webhook, delivery, error)
    if gone:
        _stop(webhook, delivery, "The receiver answered 410: it wants no more events.")
    elif _hopeless(webhook, now):
        _stop(webhook, delivery, f"{webhook.failures} attempts in a row failed, the last: {error}")


def _hopeless(webhook: Webhook, now: datetime) -> bool:
    since = webhook.failing_since
    return webhook.failures >= STOP_FAILURES and since is not None and now - since >= STOP_AFTER


def _stop(webhook: Webhook, delivery: Delivery, reason: str) -> None:
    webhook.active, webhook.stopped_because = False, reason[:300]
    delivery.state = DeliveryState.GIVEN_UP
    webhook.deliveries.filter(state=DeliveryState.WAITING).update(state=DeliveryState.GIVEN_UP)
    stopped_tell(webhook)
