"""Writes: webhooks are made, changed, given a new secret, deleted; deliveries are ordered again, pruned."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef

from outerloop.rounds.models import PolicyLine
from web.clock import database_now, from_now
from web.outgoing import OutgoingRefused, target_of
from web.registry import EventKind, registered
from web.services import audit_record

from .models import Delivery, DeliveryState, Webhook, WebhookEvent
from .outbox import TEST_KIND, test_write
from .signing import fingerprint_of, salt_drawn

# How long the secret before signs beside a new one.
BOTH_SECRETS = timedelta(days=1)
LONGEST_NAME = 80
# Rows that one sweep prunes at most, so that it never takes long.
PRUNED_AT_ONCE = 5_000


class WebhookRefused(Exception):
    """What was asked of a webhook cannot be done now; the sentence says why."""


def kinds_offered() -> list[EventKind]:
    """What a webhook may ask for; the test is sent to whoever asks for a test."""
    return [kind for kind in registered(EventKind) if kind.key != TEST_KIND]


def webhook_validate(*, name: str, url: str, kinds: Collection[str]) -> None:
    """ValidationError, field by field."""
    wrong: dict[str, str] = {}
    if not name.strip() or len(name) > LONGEST_NAME:
        wrong["name"] = f"Give a name of 1 to {LONGEST_NAME} characters."
    try:
        target_of(url)
    except OutgoingRefused as error:
        wrong["url"] = str(error)
    unknown = sorted(set(kinds) - {kind.key for kind in kinds_offered()})
    if unknown:
        wrong["kinds"] = f"There is no event {', '.join(unknown)}."
    elif not kinds:
        wrong["kinds"] = "Choose at least one event."
    if wrong:
        raise ValidationError(wrong)


@transaction.atomic
def webhook_create(
    *, line: PolicyLine | None, name: str, url: str, kinds: Collection[str], actor: Any
) -> Webhook:
    """Make a webhook; `signing.secret_shown(webhook.salt)` is for the answer to this act alone."""
    webhook_validate(name=name, url=url, kinds=kinds)
    salt = salt_drawn()
    webhook = Webhook.objects.create(
        line=line,
        name=name.strip(),
        url=url,
        kinds=_ordered(kinds),
        salt=salt,
        fingerprint=fingerprint_of(salt),
    )
    _audit(actor, "made webhook", webhook, kinds=webhook.kinds)
    return webhook


@transaction.atomic
def webhook_change(*, webhook: Webhook, actor: Any, **changes: Any) -> Webhook:
    """Change `name`, `url`, `kinds` or `active`. Switched off, it forgets what waits; switched on, or with
    another address, it begins anew."""
    row = Webhook.objects.select_for_update().get(pk=webhook.pk)
    asked = {name: changes.get(name, getattr(row, name)) for name in ("name", "url", "kinds")}
    webhook_validate(**asked)
    asked["kinds"], asked["name"] = _ordered(asked["kinds"]), asked["name"].strip()
    asked["active"] = changes.get("active", row.active)
    changed = {name: value for name, value in asked.items() if value != getattr(row, name)}
    if not changed:
        return row
    for name, value in changed.items():
        setattr(row, name, value)
    if changed.get("active") is False:
        row.deliveries.filter(state=DeliveryState.WAITING).update(state=DeliveryState.GIVEN_UP)
    if changed.keys() & {"active", "url"}:
        _begin_anew(row)
    row.save()
    said = {name: value for name, value in changed.items() if name != "url"}
    _audit(
        actor,
        "changed webhook",
        row,
        **said,
        **({"address": "changed"} if "url" in changed else {}),
    )
    return row


@transaction.atomic
def secret_renew(*, webhook: Webhook, actor: Any) -> Webhook:
    """Draw a new secret; the one before signs beside it for a day, so that no event is refused meanwhile."""
    row = Webhook.objects.select_for_update().get(pk=webhook.pk)
    usable = row.fingerprint == fingerprint_of(row.salt)
    row.previous_salt = row.salt if usable else ""
    row.previous_until = database_now() + BOTH_SECRETS if usable else None
    row.salt = salt_drawn()
    row.fingerprint = fingerprint_of(row.salt)
    row.save(update_fields=["salt", "fingerprint", "previous_salt", "previous_until"])
    _audit(actor, "renewed webhook secret", row)
    return row


@transaction.atomic
def webhook_delete(*, webhook: Webhook, actor: Any) -> None:
    """With its log; what is under way to the receiver still arrives."""
    _audit(actor, "deleted webhook", webhook)
    webhook.delete()


@transaction.atomic
def test_send(*, webhook: Webhook, actor: Any) -> None:
    """Order a test event. `WebhookRefused` for one that is switched off."""
    row = _awake(webhook)
    test_write(row)
    _audit(actor, "tested webhook", row)


@transaction.atomic
def delivery_again(*, delivery: Delivery, actor: Any) -> Delivery:
    """Send the same event once more, under its own id, with all its tries. `WebhookRefused`."""
    row = _awake(delivery.webhook)
    again = Delivery.objects.select_for_update().select_related("event").get(pk=delivery.pk)
    again.state, again.tries, again.next_try_at = DeliveryState.WAITING, 0, database_now()
    again.save(update_fields=["state", "tries", "next_try_at"])
    _audit(actor, "sent event again", row, event=again.event.kind)
    return again


@transaction.atomic
def log_prune() -> int:
    """Delete events older than OUTERLOOP_WEBHOOK_DAYS that nothing waits for; how many. Of one that is told
    once for ever the key stays."""
    waits = Delivery.objects.filter(event=OuterRef("pk"), state=DeliveryState.WAITING)
    before = from_now(-timedelta(days=settings.OUTERLOOP_WEBHOOK_DAYS))
    old = WebhookEvent.objects.filter(~Exists(waits), created_at__lt=before).exclude(body="")
    rows = list(old.order_by("created_at")[:PRUNED_AT_ONCE])
    Delivery.objects.filter(event__in=rows).delete()
    WebhookEvent.objects.filter(pk__in=[row.pk for row in rows if row.key is None]).delete()
    WebhookEvent.objects.filter(pk__in=[row.pk for row in rows if row.key]).update(body="")
    return len(rows)


def _awake(webhook: Webhook) -> Webhook:
    """The webhook, locked, with no rest before its next request: a person waits to see it."""
    row = Webhook.objects.select_for_update().get(pk=webhook.pk)
    if not row.active:
        raise WebhookRefused("The webhook is switched off: switch it on first.")
    Webhook.objects.filter(pk=row.pk).update(rest_until=None)
    return row


def _begin_anew(webhook: Webhook) -> None:
    webhook.failures, webhook.failing_since, webhook.rest_until = 0, None, None
    webhook.stopped_because = ""


def _ordered(kinds: Collection[str]) -> list[str]:
    return [kind.key for kind in kinds_offered() if kind.key in kinds]


def _audit(actor: Any, verb: str, webhook: Webhook, **detail: Any) -> None:
    """Without the address: receivers are often known by a secret part of it."""
    audit_record(
        actor=actor,
        verb=verb,
        target=f"webhook {webhook.name}"[:200],
        line=webhook.line_id,
        detail=detail,
    )
