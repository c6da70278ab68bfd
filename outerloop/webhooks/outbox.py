"""Events are written down in the transaction in which they happen; sending comes after its commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from web.clock import Now, database_now
from web.events import Event
from web.registry import line_name

from .models import Delivery, Webhook, WebhookEvent

VERSION = 1
TEST_KIND = "webhook.test"


def event_write(event: Event) -> bool:
    """Write a delivery for every webhook that asked for such an event; whether there is one."""
    asked = Webhook.objects.filter(
        Q(line=event.line_id) | Q(line=None), active=True, kinds__contains=[event.kind]
    )
    return _deliveries_write(event, list(asked))


def test_write(webhook: Webhook) -> None:
    """An event of no line, for this webhook alone, whatever it has asked for."""
    data = {"says": f"A test of the webhook {webhook.name}."}
    _event_deliver(
        TEST_KIND, _body(TEST_KIND, webhook.line_id, data, "", database_now()), [webhook]
    )


@transaction.atomic
def _deliveries_write(event: Event, webhooks: list[Webhook]) -> bool:
    if not webhooks:
        return False
    body = _body(event.kind, event.line_id, event.data, event.url, database_now())
    return _event_deliver(event.kind, body, webhooks, key=event.key)


def _event_deliver(kind: str, body: str, webhooks: list[Webhook], *, key: str = "") -> bool:
    fields = {"kind": kind, "body": body}
    if key:
        row, fresh = WebhookEvent.objects.get_or_create(key=key[:250], defaults=fields)
        if not fresh:
            return False
    else:
        row = WebhookEvent.objects.create(id=uuid4(), **fields)
    Delivery.objects.bulk_create(
        Delivery(event=row, webhook=webhook, next_try_at=Now()) for webhook in webhooks
    )
    return True


def _body(
    kind: str, line_id: UUID | None, data: Mapping[str, object], url: str, at: datetime
) -> str:
    """The JSON that is sent, its keys in a fixed order: what was signed once reads the same for ever."""
    line = None if line_id is None else {"id": str(line_id), "name": line_name(line_id)}
    document = {
        "type": kind,
        "version": VERSION,
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "line": line,
        "url": f"{settings.OUTERLOOP_SITE_URL.rstrip('/')}{url}" if url else "",
        "data": dict(data),
    }
    return json.dumps(document, ensure_ascii=False)
