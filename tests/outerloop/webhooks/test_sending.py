"""Deliveries: signed, in order, at least once, tried again, and nobody waits for a slow receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from outerloop.rounds.models import PolicyLine
from outerloop.webhooks import outcomes, sending
from outerloop.webhooks.claims import delivery_claim
from outerloop.webhooks.models import Delivery, Webhook
from outerloop.webhooks.outcomes import FACTOR, FIRST_PAUSE, TRIES, pause_after
from outerloop.webhooks.sending import deliveries_send
from outerloop.webhooks.services import secret_renew
from outerloop.webhooks.signing import secret_shown
from outerloop.webhooks.tasks import send
from tests.outerloop.webhooks.world import a_webhook, lease_over, make_due, told
from tests.support.people import person_create
from tests.support.receivers import Received, Receiver, receiver
from tests.support.silent import silent_server
from web.models import Notice


def verified(received: Received, secret: str) -> dict[str, Any]:
    """As a receiver does it: by the headers alone, and the secret that was shown."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    head = received.headers
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + received.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert expected in head["webhook-signature"].split(" ")
    assert abs(int(head["webhook-timestamp"]) - time.time()) < 60
    found: dict[str, Any] = json.loads(received.body)
    return found


def test_an_event_arrives_signed_and_the_log_says_so(line: PolicyLine, inside: Receiver) -> None:
    webhook = a_webhook(line, inside.url())
    told(line, number=5)
    send()
    (received,) = inside.received
    body = verified(received, secret_shown(webhook.salt))
    delivery = webhook.deliveries.get()
    attempt = delivery.attempts.get()
    assert (body["type"], body["data"]) == ("round.started", {"number": 5})
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == str(delivery.event_id)
    assert (delivery.state, delivery.tries) == ("delivered", 1)
    assert (attempt.status, attempt.error) == (204, "")


def test_events_arrive_in_their_order(line: PolicyLine, inside: Receiver) -> None:
    a_webhook(line, inside.url())
    for number in range(12):
        told(line, number=number)
    assert deliveries_send() == 12
    numbers = [json.loads(each.body)["data"]["number"] for each in inside.received]
    assert numbers == list(range(12))


def test_a_kill_between_commit_and_message_loses_nothing(
    line: PolicyLine, inside: Receiver
) -> None:
    """Nobody was asked to send; the schedule's own message finds what waits."""
    webhook = a_webhook(line, inside.url())
    told(line)
    assert inside.received == []
    send()
    assert (len(inside.received), webhook.deliveries.get().state) == (1, "delivered")


def test_after_a_kill_between_request_and_log_the_same_id_comes_again(
    line: PolicyLine, inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = a_webhook(line, inside.url())
    told(line)
    with monkeypatch.context() as killed:
        killed.setattr(sending, "attempt_record", dies)
        with pytest.raises(SystemExit):
            deliveries_send()
    assert deliveries_send() == 0  # the dead sender's lease holds
    lease_over(webhook)
    assert deliveries_send() == 1
    first, second = inside.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert (first.body, webhook.deliveries.get().state) == (second.body, "delivered")


def test_two_senders_never_hold_one_webhook(line: PolicyLine) -> None:
    a_webhook(line)
    told(line)
    told(line)
    assert delivery_claim(failing_too=True) is not None
    assert delivery_claim(failing_too=True) is None


def test_an_attempt_that_outlasted_its_lease_decides_nothing(line: PolicyLine) -> None:
    webhook = a_webhook(line)
    told(line)
    late = delivery_claim(failing_too=True)
    lease_over(webhook)
    now = delivery_claim(failing_too=True)
    assert late is not None
    assert now is not None
    outcomes.attempt_record(late, status=None, milliseconds=1, error="late")
    webhook.refresh_from_db()
    assert (webhook.lease, webhook.failures) == (now.lease, 0)
    outcomes.attempt_record(now, status=200, milliseconds=1, error="")
    assert webhook.deliveries.get().state == "delivered"
    assert webhook.deliveries.get().attempts.count() == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status": 500, "says": b"out of order"}, "Answered 500: out of order"),
        ({"status": 404}, "Answered 404."),
        ({"status": 302, "location": "http://127.0.0.1/other"}, "redirects are not followed"),
    ],
)
def test_a_refusal_is_tried_again_later(
    line: PolicyLine, inside: Receiver, answer: dict[str, Any], says: str
) -> None:
    vars(inside).update(answer)
    webhook = a_webhook(line, inside.url())
    told(line)
    before = timezone.now()
    deliveries_send()
    delivery = webhook.deliveries.get()
    attempt = delivery.attempts.get()
    assert says in attempt.error
    assert attempt.status == answer["status"]
    assert (delivery.state, delivery.tries, len(inside.received)) == ("waiting", 1, 1)
    assert timedelta(seconds=7) < delivery.next_try_at - before < timedelta(seconds=15)
    inside.status = 200
    make_due(webhook)
    deliveries_send()
    webhook.refresh_from_db()
    assert (webhook.deliveries.get().state, webhook.failures) == ("delivered", 0)
    ids = {each.headers["webhook-id"] for each in inside.received}
    assert ids == {str(delivery.event_id)}


def test_a_receiver_that_says_nothing_is_left_in_time(
    line: PolicyLine, inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "post", hurried)
    with silent_server() as port:
        webhook = a_webhook(line, f"http://127.0.0.1:{port}/")
        told(line)
        deliveries_send()
    attempt = webhook.deliveries.get().attempts.get()
    assert (attempt.status, attempt.error) == (None, "127.0.0.1 did not answer within 0.5 s.")
    assert attempt.milliseconds >= 500


def test_what_leads_inside_is_refused_when_it_is_sent(
    line: PolicyLine, inside: Receiver, settings: Any
) -> None:
    """The address was allowed when it was saved."""
    webhook = a_webhook(line, inside.url())
    settings.OUTERLOOP_OUTGOING_ALLOW = []
    told(line)
    deliveries_send()
    assert "no public address" in webhook.deliveries.get().attempts.get().error
    assert inside.received == []


def test_a_slow_receiver_holds_up_no_other(line: PolicyLine, inside: Receiver) -> None:
    with receiver(delay=1.5) as slow:
        a_webhook(line, slow.url())
        quick = [a_webhook(line, inside.url(f"/{n}")) for n in range(3)]
        arrived: list[float] = []
        inside.ask = lambda: arrived.append(time.monotonic())
        for number in range(4):
            told(line, number=number)
        began = time.monotonic()
        deliveries_send()
        took = time.monotonic() - began
    assert len(arrived) == 4 * len(quick)
    assert max(arrived) - began < 1.4  # before the slow one answered for the first time
    assert took >= 4 * 1.5  # one request at a time there, all four of them
    assert len(slow.received) == 4


def test_receivers_that_fail_leave_places_to_those_that_answer(line: PolicyLine) -> None:
    for _ in range(sending.AT_ONCE + 2):
        a_webhook(line, failures=3)
    well = a_webhook(line)
    told(line)
    claims: dict[Any, Any] = {}
    while (claim := sending._claim(claims)) is not None:
        claims[object()] = claim
    assert claims[next(iter(claims))].webhook_id == well.pk
    assert sum(claim.failing for claim in claims.values()) == sending.FAILING_AT_ONCE


def test_the_pauses_grow_by_four_and_differ_by_a_fifth() -> None:
    assert pause_after(1, drawn=0.5) == FIRST_PAUSE == timedelta(seconds=10)
    assert pause_after(3, drawn=0.5) == timedelta(seconds=160)
    assert pause_after(1, drawn=0.0) == timedelta(seconds=8)
    assert pause_after(1, drawn=1.0) == timedelta(seconds=12)
    total = sum((pause_after(n, drawn=0.5) for n in range(1, TRIES)), timedelta())
    assert total == timedelta(seconds=10 * (FACTOR ** (TRIES - 1) - 1) // (FACTOR - 1))
    assert timedelta(hours=15) < total < timedelta(hours=16)


def test_after_the_last_try_it_is_given_up_and_the_leads_are_told_once_a_day(
    line: PolicyLine, inside: Receiver
) -> None:
    lead = person_create("lea", "lead", line=line.pk)
    person_create("eve", "engineer", line=line.pk)
    inside.status = 500
    webhook = a_webhook(line, inside.url())
    told(line, number=1)
    told(line, number=2)
    for _ in range(2 * TRIES):
        make_due(webhook)
        deliveries_send()
    states = [(each.state, each.tries) for each in webhook.deliveries.all()]
    assert states == [("given_up", TRIES)] * 2
    assert len(inside.received) == 2 * TRIES
    (notice,) = Notice.objects.all()
    assert (notice.user, notice.level) == (lead, "attention")
    assert "did not take round.started after 8 tries" in notice.text
    assert notice.url == f"/webhooks/{webhook.pk}/"


def test_many_failures_over_more_than_a_day_stop_the_webhook(
    line: PolicyLine, inside: Receiver
) -> None:
    lead = person_create("max", "lead")
    inside.status = 500
    long_ago = timezone.now() - timedelta(days=1, minutes=1)
    webhook = a_webhook(None, inside.url(), failures=19, failing_since=long_ago)
    told(line, number=1)
    told(line, number=2)
    deliveries_send()
    webhook.refresh_from_db()
    assert not webhook.active
    assert "20 attempts in a row failed" in webhook.stopped_because
    assert {each.state for each in webhook.deliveries.all()} == {"given_up"}
    assert Notice.objects.get(user=lead, level="bad").text.startswith(
        f"The webhook {webhook.name} was switched off."
    )
    told(line, number=3)
    assert webhook.deliveries.count() == 2


@pytest.mark.parametrize(("failures", "hours"), [(19, 23), (3, 48)])
def test_a_short_outage_or_few_failures_stop_nothing(
    line: PolicyLine, inside: Receiver, failures: int, hours: int
) -> None:
    inside.status = 500
    since = timezone.now() - timedelta(hours=hours)
    webhook = a_webhook(line, inside.url(), failures=failures, failing_since=since)
    told(line)
    deliveries_send()
    webhook.refresh_from_db()
    assert (webhook.active, webhook.failures) == (True, failures + 1)


def test_a_receiver_that_is_gone_is_stopped_at_once(line: PolicyLine, inside: Receiver) -> None:
    inside.status = 410
    webhook = a_webhook(line, inside.url())
    told(line)
    deliveries_send()
    webhook.refresh_from_db()
    assert (webhook.active, webhook.deliveries.get().state) == (False, "given_up")
    assert "410" in webhook.stopped_because


def test_a_webhook_that_failed_rests_a_little(line: PolicyLine, inside: Receiver) -> None:
    inside.status = 500
    webhook = a_webhook(line, inside.url())
    told(line, number=1)
    told(line, number=2)
    assert deliveries_send() == 1
    webhook.refresh_from_db()
    assert webhook.rest_until is not None
    assert webhook.rest_until > timezone.now()


def test_for_a_day_both_secrets_sign(line: PolicyLine, inside: Receiver) -> None:
    webhook = a_webhook(line, inside.url())
    before = secret_shown(webhook.salt)
    webhook = secret_renew(webhook=webhook, actor="set-up")
    after = secret_shown(webhook.salt)
    told(line, number=1)
    deliveries_send()
    for secret in (before, after):
        verified(inside.received[0], secret)
    Webhook.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    told(line, number=2)
    deliveries_send()
    verified(inside.received[1], after)
    with pytest.raises(AssertionError):
        verified(inside.received[1], before)


def test_nothing_leaves_signed_by_a_key_that_the_receiver_was_never_shown(
    line: PolicyLine, inside: Receiver, settings: Any
) -> None:
    """As after a restore into an installation with another secret key."""
    webhook = a_webhook(line, inside.url())
    told(line)
    settings.SECRET_KEY = "of another installation"
    deliveries_send()
    assert inside.received == []
    assert "secret key has changed" in webhook.deliveries.get().attempts.get().error
    secret_renew(webhook=webhook, actor="set-up")
    make_due(webhook)
    deliveries_send()
    assert len(inside.received[0].headers["webhook-signature"].split(" ")) == 1


def test_no_secret_and_no_address_stands_in_a_log(
    line: PolicyLine, inside: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    from web.models import AuditEvent

    caplog.set_level("DEBUG")
    inside.status = 500
    webhook = a_webhook(line, inside.url("/services/T0KEN"))
    webhook = secret_renew(webhook=webhook, actor="set-up")
    told(line)
    deliveries_send()
    secret = secret_shown(webhook.salt)
    written = caplog.text + "".join(
        f"{event.target} {event.detail}" for event in AuditEvent.objects.all()
    )
    for hidden in (secret, secret.removeprefix("whsec_"), "T0KEN", webhook.salt):
        assert hidden not in written


def test_a_webhook_deleted_under_way_is_no_trouble(line: PolicyLine, inside: Receiver) -> None:
    webhook = a_webhook(line, inside.url())
    told(line)
    claim = delivery_claim(failing_too=True)
    assert claim is not None
    Webhook.objects.get(pk=webhook.pk).delete()
    outcomes.attempt_record(claim, status=200, milliseconds=1, error="")
    assert not Delivery.objects.exists()


def dies(*arguments: Any, **named: Any) -> None:
    raise SystemExit


def hurried(url: str, **named: Any) -> Any:
    from web.outgoing import post

    return post(url, **named, seconds=0.5)
