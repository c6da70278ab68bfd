"""What the webhooks add to other rooms: they listen to every event, and offer their page."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse

from web.access import LEAD
from web.events import Event
from web.registry import EventKind, EventSink, Extension, LineLink

from .outbox import TEST_KIND, event_write
from .tasks import send_enqueue


def _take(event: Event) -> None:
    if event_write(event):
        transaction.on_commit(send_enqueue)


def _of_line(slug: str) -> str:
    return f"{reverse('webhooks:list')}?line={slug}"


LEADS = frozenset({LEAD})
ADDED: tuple[Extension, ...] = (
    EventSink("webhooks", _take),
    EventKind(TEST_KIND, "A person tests a webhook.", 90),
    LineLink("webhooks", "Webhooks", LEADS, _of_line),
)
