from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from outerloop.rounds.models import PolicyLine
from outerloop.webhooks import services
from outerloop.webhooks.models import Delivery, WebhookEvent
from outerloop.webhooks.sending import deliveries_send
from outerloop.webhooks.services import WebhookRefused
from tests.outerloop.webhooks.world import a_webhook, told
from tests.support.receivers import Receiver
from web.models import AuditEvent

GOOD = {"name": "chat", "url": "https://hooks.example.com/", "kinds": ["round.started"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "x" * 81),
        ("url", "http://hooks.example.com/"),
        ("url", "hooks.example.com"),
        ("kinds", []),
        ("kinds", ["round.eaten"]),
        ("kinds", ["webhook.test"]),
    ],
)
def test_a_wrong_value_is_named_by_its_field(line: PolicyLine, field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        services.webhook_create(line=line, actor="set-up", **{**GOOD, field: value})
    assert set(refused.value.message_dict) == {field}


def test_switched_off_it_forgets_what_waits_and_on_again_it_begins_anew(line: PolicyLine) -> None:
    webhook = a_webhook(line, failures=4, failing_since=timezone.now(), stopped_because="so")
    told(line)
    off = services.webhook_change(webhook=webhook, actor="set-up", active=False)
    assert (off.active, off.deliveries.get().state) == (False, "given_up")
    on = services.webhook_change(webhook=off, actor="set-up", active=True)
    assert (on.active, on.failures, on.failing_since, on.stopped_because) == (True, 0, None, "")


def test_a_change_stands_in_the_audit_log_without_the_address(line: PolicyLine) -> None:
    webhook = a_webhook(line)
    services.webhook_change(webhook=webhook, actor="set-up", url="https://hooks.example.com/T0KEN")
    services.webhook_change(webhook=webhook, actor="set-up")  # nothing
    event = AuditEvent.objects.filter(verb="changed webhook").get()
    assert (event.line, event.detail) == (line.pk, {"address": "changed"})


def test_a_test_event_goes_to_this_webhook_alone(line: PolicyLine, inside: Receiver) -> None:
    webhook = a_webhook(line, inside.url(), failures=2, rest_until=timezone.now() + timedelta(1))
    a_webhook(line)
    services.test_send(webhook=webhook, actor="set-up")
    assert deliveries_send() == 1  # without the rest
    assert WebhookEvent.objects.get().kind == "webhook.test"
    assert Delivery.objects.get().state == "delivered"


def test_again_means_the_same_event_with_all_its_tries(line: PolicyLine, inside: Receiver) -> None:
    webhook = a_webhook(line, inside.url())
    told(line)
    deliveries_send()
    services.delivery_again(delivery=webhook.deliveries.get(), actor="set-up")
    assert (webhook.deliveries.get().state, webhook.deliveries.get().tries) == ("waiting", 0)
    deliveries_send()
    first, second = inside.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert webhook.deliveries.get().attempts.count() == 2


def test_nothing_is_ordered_of_a_webhook_that_is_off(line: PolicyLine) -> None:
    webhook = a_webhook(line)
    told(line)
    off = services.webhook_change(webhook=webhook, actor="set-up", active=False)
    with pytest.raises(WebhookRefused, match="switched off"):
        services.test_send(webhook=off, actor="set-up")
    with pytest.raises(WebhookRefused, match="switched off"):
        services.delivery_again(delivery=off.deliveries.get(), actor="set-up")


def test_the_log_is_pruned_of_what_is_old_and_done(line: PolicyLine, settings: Any) -> None:
    settings.OUTERLOOP_WEBHOOK_DAYS = 7
    webhook = a_webhook(line)
    for number in range(3):
        told(line, number=number)
    told(line, key="once")
    done = Delivery.objects.order_by("pk")
    Delivery.objects.exclude(pk=done[0].pk).update(state="delivered")
    old = timezone.now() - timedelta(days=7, minutes=1)
    WebhookEvent.objects.exclude(pk=done[1].event_id).update(created_at=old)
    assert services.log_prune() == 2  # the third, and the one with a key
    left = list(webhook.deliveries.order_by("pk"))
    assert [(each.state, each.event.key) for each in left] == [
        ("waiting", None), ("delivered", None),
    ]  # fmt: skip
    told(line, key="once")  # known for ever, though its text is gone
    assert webhook.deliveries.count() == 2
    assert services.log_prune() == 0


def test_deleting_takes_the_log_along(line: PolicyLine) -> None:
    webhook = a_webhook(line)
    told(line)
    services.webhook_delete(webhook=webhook, actor="set-up")
    assert not Delivery.objects.exists()
    assert AuditEvent.objects.filter(verb="deleted webhook").count() == 1
