"""What the pages show of a webhook and its log: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .models import Attempt, Delivery, DeliveryState, Webhook

STATES = {
    DeliveryState.WAITING: ("waiting", "waiting"),
    DeliveryState.DELIVERED: ("good", "delivered"),
    DeliveryState.GIVEN_UP: ("bad", "not delivered"),
}


@dataclass(frozen=True)
class WebhookRow:
    webhook: Webhook
    meaning: str
    word: str
    waiting: int


@dataclass(frozen=True)
class LogRow:
    """`next_try_at` is for what waits; `said` is what came of the last attempt."""

    id: int
    kind: str
    event_id: str
    body: str
    at: datetime
    meaning: str
    word: str
    next_try_at: datetime | None
    said: str
    attempts: tuple[Attempt, ...]


def webhook_row(webhook: Webhook, waiting: int) -> WebhookRow:
    return WebhookRow(webhook, *_state(webhook), waiting)


def _state(webhook: Webhook) -> tuple[str, str]:
    if not webhook.active:
        return ("bad", "stopped") if webhook.stopped_because else ("neutral", "switched off")
    return ("attention", "failing") if webhook.failures else ("good", "on")


def log_row(delivery: Delivery) -> LogRow:
    attempts = tuple(delivery.attempts.all())
    waits = delivery.state == DeliveryState.WAITING
    return LogRow(
        delivery.pk,
        delivery.event.kind,
        str(delivery.event_id),
        delivery.event.body,
        delivery.created_at,
        *STATES[DeliveryState(delivery.state)],
        delivery.next_try_at if waits else None,
        said_of(attempts[-1]) if attempts else "",
        attempts,
    )


def said_of(attempt: Attempt) -> str:
    return attempt.error or f"Answered {attempt.status} after {attempt.milliseconds} ms."
