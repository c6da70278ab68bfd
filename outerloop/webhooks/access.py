"""The access functions of webhooks: those of a line are its leads', those of the site the leads' of every line."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from web.access import LEAD, lines_of, require_role

from .models import Delivery, Webhook
from .selectors import deliveries_of, webhooks_of


def webhooks_for(request: HttpRequest) -> QuerySet[Webhook, Webhook]:
    """What the person may see and change."""
    return webhooks_of(lines_of(request.user, LEAD))


def webhook_for(request: HttpRequest, webhook_id: UUID) -> Webhook:
    webhook = get_object_or_404(Webhook.objects.select_related("line"), pk=webhook_id)
    require_line(request, webhook.line_id)
    return webhook


def require_line(request: HttpRequest, line_id: UUID | None) -> None:
    """A lead of this line; of the whole site (None), a lead of every line. PermissionDenied."""
    if line_id is not None:
        require_role(request, LEAD, line_id=line_id)
    elif lines_of(request.user, LEAD) is not None:
        raise PermissionDenied("This is for a lead of every line.")


def delivery_for(request: HttpRequest, webhook_id: UUID, delivery_id: int) -> Delivery:
    webhook = webhook_for(request, webhook_id)
    return get_object_or_404(deliveries_of(webhook), pk=delivery_id)
