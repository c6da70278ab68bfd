"""Who sends what: one sender at a time holds a webhook, by a lease, and sends its oldest due delivery.

A conditional UPDATE claims; a sender that dies leaves a lease that runs out, and the delivery is sent again
under the same id. So an event arrives at least once, and events of a receiver that answers arrive in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When

from web.clock import Now, database_now, from_now

from .models import Delivery, DeliveryState, Webhook

# Well above the time that one request may take.
LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class Claim:
    """All that one request needs: it is made without the database. `fingerprint` is of the first salt."""

    webhook_id: UUID
    lease: UUID
    failing: bool
    delivery_id: int
    event_id: UUID
    url: str
    body: str
    salts: tuple[str, ...]
    fingerprint: str


def delivery_claim(*, failing_too: bool) -> Claim | None:
    """Take the webhook that waits longest, those that answer before those that fail; None where nothing is
    due, or with `failing_too` off nothing of a webhook that answers."""
    while (webhook := _next(failing_too)) is not None:
        lease = uuid4()
        if not Webhook.objects.filter(_free(), pk=webhook.pk, active=True).update(
            lease=lease, lease_expires_at=from_now(LEASE), tried_at=Now()
        ):
            continue  # another sender was quicker
        delivery = _due().filter(webhook=webhook).select_related("event").order_by("pk").first()
        if delivery is None:
            webhook_release(webhook.pk, lease)
            continue
        return Claim(
            webhook_id=webhook.pk,
            lease=lease,
            failing=webhook.failures > 0,
            delivery_id=delivery.pk,
            event_id=delivery.event_id,
            url=webhook.url,
            body=delivery.event.body,
            salts=_salts(webhook),
            fingerprint=webhook.fingerprint,
        )
    return None


def webhook_release(webhook_id: UUID, lease: UUID) -> None:
    Webhook.objects.filter(pk=webhook_id, lease=lease).update(lease=None, lease_expires_at=None)


def _next(failing_too: bool) -> Webhook | None:
    resting = Q(rest_until__gt=Now())
    rows = Webhook.objects.filter(
        _free(), Exists(_due().filter(webhook=OuterRef("pk"))), active=True
    ).exclude(resting)
    if not failing_too:
        rows = rows.filter(failures=0)
    failing = Case(When(failures=0, then=Value(0)), default=Value(1))
    return rows.order_by(failing, F("tried_at").asc(nulls_first=True), "pk").first()


def _due() -> QuerySet[Delivery, Delivery]:
    return Delivery.objects.filter(state=DeliveryState.WAITING, next_try_at__lte=Now())


def _free() -> Q:
    return Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now())


def _salts(webhook: Webhook) -> tuple[str, ...]:
    """The secret of now, and the one before while it still counts."""
    until = webhook.previous_until
    if webhook.previous_salt and until is not None and until > database_now():
        return (webhook.salt, webhook.previous_salt)
    return (webhook.salt,)
