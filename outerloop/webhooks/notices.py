"""Telling the leads that a receiver does not take what it asked for. No event is made of these notices: it
would wait for the very receiver that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.urls import reverse

from web.access import LEAD, people_with
from web.clock import database_now
from web.services import notice_send

from .models import Delivery, Webhook

if TYPE_CHECKING:
    from web.access import User


def gave_up_tell(webhook: Webhook, delivery: Delivery, error: str) -> None:
    """Once a day for each webhook, however many events it missed."""
    notice_send(
        users=_leads(webhook),
        topic=f"webhook {webhook.pk} gave up {database_now():%Y-%m-%d}",
        level="attention",
        text=f"The webhook {webhook.name} did not take {delivery.event.kind} after {delivery.tries}"
        f" tries: {error}",
        url=_page(webhook),
    )


def stopped_tell(webhook: Webhook) -> None:
    notice_send(
        users=_leads(webhook),
        topic=f"webhook {webhook.pk} stopped {database_now():%Y-%m-%d %H:%M}",
        level="bad",
        text=f"The webhook {webhook.name} was switched off. {webhook.stopped_because}",
        url=_page(webhook),
    )


def _leads(webhook: Webhook) -> QuerySet[User]:
    return people_with(LEAD, line_id=webhook.line_id)


def _page(webhook: Webhook) -> str:
    return reverse("webhooks:detail", args=[webhook.pk])
