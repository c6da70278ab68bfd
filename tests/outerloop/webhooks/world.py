"""A webhook as tests want it, and events to tell it of."""

from __future__ import annotations

import itertools
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from outerloop.rounds.models import PolicyLine
from outerloop.webhooks.models import Delivery, Webhook
from outerloop.webhooks.services import webhook_create
from web.events import Event, event_tell

_numbers = itertools.count(1)


def a_webhook(
    line: PolicyLine | None,
    url: str = "https://hooks.example.com/",
    kinds: tuple[str, ...] = ("round.started",),
    **fields: Any,
) -> Webhook:
    name = f"receiver {next(_numbers)}"
    webhook = webhook_create(line=line, name=name, url=url, kinds=kinds, actor="set-up")
    Webhook.objects.filter(pk=webhook.pk).update(**fields)
    webhook.refresh_from_db()
    return webhook


def told(line: PolicyLine, number: int = 1, kind: str = "round.started", **more: Any) -> None:
    event_tell(Event(kind, line.pk, {"number": number}, f"/lines/{line.slug}/", **more))


def make_due(webhook: Webhook) -> None:
    """The pauses are over."""
    Webhook.objects.filter(pk=webhook.pk).update(rest_until=None)
    Delivery.objects.filter(webhook=webhook).update(next_try_at=Now())


def lease_over(webhook: Webhook) -> None:
    """A minute has passed since its sender died."""
    rows = Webhook.objects.filter(pk=webhook.pk, lease_expires_at__isnull=False)
    assert rows.update(lease_expires_at=Now(), lease=F("lease"))
