"""Reads: webhooks of some lines, and the log of one."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Count, QuerySet

from .models import Delivery, DeliveryState, Webhook


def webhooks_of(lines: set[UUID] | None) -> QuerySet[Webhook, Webhook]:
    """Those of the lines; None: of every line, and those of the whole site."""
    rows = Webhook.objects.select_related("line")
    return rows if lines is None else rows.filter(line__in=lines)


def waiting_numbers() -> dict[UUID, int]:
    """How many deliveries wait, of each webhook that has any."""
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING).values_list("webhook")
    return dict(waiting.annotate(Count("pk")).order_by())


def deliveries_of(webhook: Webhook) -> QuerySet[Delivery, Delivery]:
    """The log, with each attempt."""
    return webhook.deliveries.select_related("event").prefetch_related("attempts")
