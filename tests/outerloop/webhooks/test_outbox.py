"""Events are written with what happened, or not at all."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from outerloop.rounds.models import PolicyLine
from outerloop.webhooks.models import Delivery, WebhookEvent
from tests.outerloop.rounds.world import bare_line
from tests.outerloop.webhooks.world import a_webhook, told
from web.events import Event, event_tell


def test_who_asked_for_the_kind_on_the_line_or_everywhere_is_told(line: PolicyLine) -> None:
    mine, everywhere = a_webhook(line), a_webhook(None)
    a_webhook(line, kinds=("round.decided",))
    a_webhook(bare_line())
    a_webhook(line, active=False)
    told(line)
    assert {delivery.webhook for delivery in Delivery.objects.all()} == {mine, everywhere}
    assert WebhookEvent.objects.count() == 1


def test_nothing_is_kept_where_nobody_asked(line: PolicyLine, hints: list[str]) -> None:
    told(line)
    assert (WebhookEvent.objects.count(), hints) == (0, [])


def test_the_body_says_what_happened_where(line: PolicyLine, settings: Any) -> None:
    settings.OUTERLOOP_SITE_URL = "https://loop.example.org/"
    a_webhook(line)
    told(line, number=3)
    body = json.loads(WebhookEvent.objects.get().body)
    stamp = body.pop("timestamp")
    assert stamp.endswith("Z")
    assert body == {
        "type": "round.started",
        "version": 1,
        "line": {"id": str(line.pk), "name": line.name},
        "url": f"https://loop.example.org/lines/{line.slug}/",
        "data": {"number": 3},
    }


def test_what_is_rolled_back_was_never_told(
    line: PolicyLine, hints: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    a_webhook(line)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        told(line)
        assert WebhookEvent.objects.count() == 1
        transaction.set_rollback(True)
    assert (WebhookEvent.objects.count(), hints) == (0, [])


def test_the_sender_is_asked_after_the_commit(
    line: PolicyLine, hints: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    a_webhook(line)
    with django_capture_on_commit_callbacks(execute=True):
        told(line)
        assert hints == []
    assert hints == ["send"]


def test_an_event_of_one_key_is_told_once(line: PolicyLine) -> None:
    a_webhook(line)
    for _ in range(2):
        told(line, key="the empty queue of today")
    told(line, key="of tomorrow")
    assert (WebhookEvent.objects.count(), Delivery.objects.count()) == (2, 2)


def test_a_kind_that_no_room_registered_is_a_defect(line: PolicyLine) -> None:
    with pytest.raises(ValueError, match=r"round\.eaten"):
        event_tell(Event("round.eaten", uuid4()))
