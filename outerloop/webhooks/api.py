"""Webhooks for programs: make them, change them, test them, read their log, send again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router, Schema, Status

from outerloop.rounds.models import PolicyLine
from web.access import LEAD, person, require_role
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.listing import Cursor, Listing, listed
from web.api.problems import Problem
from web.api.requests import Body, Number
from web.outgoing import LONGEST_URL
from web.tokens import WEBHOOKS

from . import services
from .access import delivery_for, require_line, webhook_for, webhooks_for
from .models import Attempt, Delivery, Webhook
from .selectors import deliveries_of
from .signing import secret_shown
from .tasks import send_enqueue

router = Router(tags=["webhooks"])
Kinds = Annotated[list[str], Field(min_length=1, max_length=50)]


class WebhookOut(Schema):
    """`line` is null for every line. `failures`: attempts in a row; `stopped_because`: why it was switched
    off by itself. The secret is never here: the fingerprint is the start of its SHA-256."""

    id: UUID
    line: UUID | None
    name: str
    url: str
    kinds: list[str]
    active: bool
    stopped_because: str
    failures: int
    failing_since: str | None
    fingerprint: str
    created_at: str


class WebhookIn(Body):
    """`line` null: every line, for a lead of every line. `kinds` as the documentation lists them."""

    line: UUID | None
    name: str = Field(max_length=services.LONGEST_NAME)
    url: str = Field(max_length=LONGEST_URL)
    kinds: Kinds


class ChangeIn(Body):
    """What is left out, or null, stays as it is."""

    name: str | None = Field(None, max_length=services.LONGEST_NAME)
    url: str | None = Field(None, max_length=LONGEST_URL)
    kinds: Kinds | None = None
    active: bool | None = None


class SecretOut(Schema):
    """Shown by this answer alone."""

    secret: str


class AttemptOut(Schema):
    """`status` is null where the receiver did not answer; `error` is empty after a 2xx."""

    at: str
    status: int | None
    milliseconds: int
    error: str


class DeliveryOut(Schema):
    """`state` is waiting, delivered or given_up; `event` is the webhook-id; `body` is what is sent."""

    id: int
    event: UUID
    kind: str
    state: str
    created_at: str
    next_try_at: str | None
    body: str
    attempts: list[AttemptOut]


@router.get(
    "/webhooks",
    response={200: Listing[WebhookOut]},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhooks",
)
def webhooks_list(request: HttpRequest, query: Query[Cursor]) -> Listing[WebhookOut]:
    """Those of the lines that the token's owner leads; of a lead of every line, all."""
    require_role(request, LEAD)
    return listed(webhooks_for(request), cursor=query, fields=("-created_at", "-id"), shown=_shown)


@router.post(
    "/webhooks",
    response={201: WebhookOut, 404: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhooks",
)
@once
def webhook_make(request: HttpRequest, webhook: WebhookIn) -> Status[WebhookOut]:
    """Make a webhook; its secret is drawn by `/webhooks/ID/secret`."""
    require_line(request, webhook.line)
    line = get_object_or_404(PolicyLine, pk=webhook.line) if webhook.line else None
    made = services.webhook_create(
        line=line, actor=person(request), **webhook.dict(exclude={"line"})
    )
    return Status(201, _shown(made))


@router.get(
    "/webhooks/{webhook_id}",
    response={200: WebhookOut, 404: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhook",
)
def webhook_read(request: HttpRequest, webhook_id: UUID) -> WebhookOut:
    return _shown(webhook_for(request, webhook_id))


@router.post(
    "/webhooks/{webhook_id}",
    response={200: WebhookOut, 404: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhook",
)
@once
def webhook_alter(request: HttpRequest, webhook_id: UUID, wish: ChangeIn) -> WebhookOut:
    """Change it, or switch it on or off. Switched off, it forgets what waits."""
    webhook = webhook_for(request, webhook_id)
    changes = wish.dict(exclude_none=True)
    return _shown(services.webhook_change(webhook=webhook, actor=person(request), **changes))


@router.post(
    "/webhooks/{webhook_id}/secret",
    response={200: SecretOut, 404: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhook_secret",
)
def webhook_secret_draw(request: HttpRequest, webhook_id: UUID) -> SecretOut:
    """Draw a new secret; the one before signs beside it for a day. No answer of this kind is kept, so that a
    second request draws another."""
    webhook = webhook_for(request, webhook_id)
    renewed = services.secret_renew(webhook=webhook, actor=person(request))
    return SecretOut(secret=secret_shown(renewed.salt))


@router.post(
    "/webhooks/{webhook_id}/test",
    response={200: WebhookOut, 404: Problem, 409: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhook_test",
)
@once
def webhook_try(request: HttpRequest, webhook_id: UUID) -> WebhookOut:
    """Send a test event; the log says what came of it. 409 for one that is switched off."""
    webhook = webhook_for(request, webhook_id)
    services.test_send(webhook=webhook, actor=person(request))
    transaction.on_commit(send_enqueue)
    return _shown(webhook)


@router.post(
    "/webhooks/{webhook_id}/delete",
    response={200: WebhookOut, 404: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhook_delete",
)
@once
def webhook_remove(request: HttpRequest, webhook_id: UUID) -> WebhookOut:
    """Delete it with its log; the answer is what it was."""
    webhook = webhook_for(request, webhook_id)
    shown = _shown(webhook)
    services.webhook_delete(webhook=webhook, actor=person(request))
    return shown


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    response={200: Listing[DeliveryOut], 404: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhook_deliveries",
)
def webhook_log(
    request: HttpRequest, webhook_id: UUID, query: Query[Cursor]
) -> Listing[DeliveryOut]:
    rows = deliveries_of(webhook_for(request, webhook_id))
    return listed(rows, cursor=query, fields=("-created_at", "-id"), shown=_delivery_shown)


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/again",
    response={200: DeliveryOut, 404: Problem, 409: Problem},
    auth=TokenAuth(WEBHOOKS),
    url_name="webhook_again",
)
@once
def webhook_send_again(
    request: HttpRequest, webhook_id: UUID, delivery_id: Path[Number]
) -> DeliveryOut:
    """Send the event once more, under its own id, with all its tries. 409 for one that is switched off."""
    delivery = delivery_for(request, webhook_id, delivery_id)
    again = services.delivery_again(delivery=delivery, actor=person(request))
    transaction.on_commit(send_enqueue)
    return _delivery_shown(again)


def _shown(webhook: Webhook) -> WebhookOut:
    plain = ("id", "name", "url", "kinds", "active", "stopped_because", "failures", "fingerprint")
    since = webhook.failing_since
    return WebhookOut(
        **{name: getattr(webhook, name) for name in plain},
        line=webhook.line_id,
        failing_since=since.isoformat() if since else None,
        created_at=webhook.created_at.isoformat(),
    )


def _delivery_shown(delivery: Delivery) -> DeliveryOut:
    waits = delivery.state == "waiting"
    return DeliveryOut(
        id=delivery.pk,
        event=delivery.event_id,
        kind=delivery.event.kind,
        state=delivery.state,
        created_at=delivery.created_at.isoformat(),
        next_try_at=delivery.next_try_at.isoformat() if waits else None,
        body=delivery.event.body,
        attempts=[_attempt_shown(attempt) for attempt in delivery.attempts.all()],
    )


def _attempt_shown(attempt: Attempt) -> AttemptOut:
    plain = ("status", "milliseconds", "error")
    return AttemptOut(at=attempt.at.isoformat(), **{name: getattr(attempt, name) for name in plain})
