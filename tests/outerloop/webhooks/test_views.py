"""The pages of webhooks: the secret is shown once, and every act does what its button says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from outerloop.rounds.models import PolicyLine
from outerloop.webhooks.models import Delivery, Webhook
from outerloop.webhooks.sending import deliveries_send
from outerloop.webhooks.signing import secret_shown
from tests.outerloop.rounds.world import bare_line
from tests.outerloop.webhooks.world import a_webhook, told
from tests.support.people import person_create
from tests.support.receivers import Receiver
from web.models import AuditEvent

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
WISH = {"name": "chat", "url": "https://hooks.example.com/in", "kinds": ["round.decided"]}


@pytest.fixture
def lead(line: PolicyLine) -> Client:
    return signed_in("lea", line=line.pk)


@pytest.fixture
def chief(line: PolicyLine) -> Client:
    return signed_in("max")


def signed_in(name: str, **place: Any) -> Client:
    client = Client()
    client.force_login(
        person_create(name, "lead", **place),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


def test_a_new_webhook_shows_its_secret_once(line: PolicyLine, lead: Client) -> None:
    answer = lead.post("/webhooks/new/", {**WISH, "line": str(line.pk)})
    webhook = Webhook.objects.get()
    assert set(SECRET.findall(answer.content.decode())) == {secret_shown(webhook.salt)}
    assert "no-store" in answer.headers["Cache-Control"]
    assert (webhook.line, webhook.kinds) == (line, ["round.decided"])
    page = lead.get(f"/webhooks/{webhook.pk}/").content.decode()
    assert "whsec_" not in page
    assert webhook.fingerprint in page
    assert AuditEvent.objects.filter(verb="made webhook", line=line.pk).count() == 1


def test_only_a_lead_of_every_line_makes_one_of_the_whole_site(
    line: PolicyLine, lead: Client, chief: Client
) -> None:
    answer = lead.post("/webhooks/new/", {**WISH, "line": "site"})
    assert (answer.status_code, Webhook.objects.count()) == (200, 0)
    assert "every line of this site" not in answer.content.decode()
    other = lead.post("/webhooks/new/", {**WISH, "line": str(bare_line().pk)})
    assert (other.status_code, Webhook.objects.count()) == (200, 0)
    chief.post("/webhooks/new/", {**WISH, "line": "site"})
    assert Webhook.objects.get().line is None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("url", "http://hooks.example.com/", "Use https://"),
        ("url", "https://user:word@hooks.example.com/", "user name"),
        ("kinds", [], "This field is required"),
        ("kinds", ["round.eaten"], "not one of the available choices"),
        ("name", "", "This field is required"),
    ],
)
def test_a_wrong_value_is_answered_beside_its_field(
    line: PolicyLine, lead: Client, field: str, value: Any, says: str
) -> None:
    answer = lead.post("/webhooks/new/", {**WISH, "line": str(line.pk), field: value})
    assert says in answer.content.decode()
    assert not Webhook.objects.exists()


def test_the_list_shows_each_lead_the_own_ones(
    line: PolicyLine, lead: Client, chief: Client
) -> None:
    mine, other, site = a_webhook(line), a_webhook(bare_line()), a_webhook(None)
    shown = lead.get("/webhooks/").content.decode()
    assert [each.name in shown for each in (mine, other, site)] == [True, False, False]
    shown = chief.get("/webhooks/").content.decode()
    assert [each.name in shown for each in (mine, other, site)] == [True, True, True]
    shown = chief.get(f"/webhooks/?line={line.slug}").content.decode()
    assert [each.name in shown for each in (mine, other, site)] == [True, False, False]
    assert lead.get(f"/webhooks/{site.pk}/").status_code == 403
    assert chief.get("/webhooks/?line=nowhere").status_code == 404


def test_a_line_s_page_leads_its_leads_there(line: PolicyLine, lead: Client) -> None:
    link = f"/webhooks/?line={line.slug}"
    assert link in lead.get(f"/lines/{line.slug}/").content.decode()
    engineer = Client()
    engineer.force_login(
        person_create("eve", "engineer", line=line.pk),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    assert link not in engineer.get(f"/lines/{line.slug}/").content.decode()


def test_settings_are_changed_and_the_secret_stays(line: PolicyLine, lead: Client) -> None:
    webhook = a_webhook(line)
    wish = {**WISH, "kinds": ["round.failed", "round.started"]}
    lead.post(f"/webhooks/{webhook.pk}/edit/", wish)
    changed = Webhook.objects.get()
    assert (changed.name, changed.url, changed.salt) == ("chat", WISH["url"], webhook.salt)
    assert changed.kinds == ["round.started", "round.failed"]  # in the order of the page


def test_a_test_event_and_what_came_of_it_stand_in_the_log(
    line: PolicyLine,
    lead: Client,
    inside: Receiver,
    hints: list[str],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    inside.status, inside.says = 503, b"<b>out of order</b>"
    webhook = a_webhook(line, inside.url())
    with django_capture_on_commit_callbacks(execute=True):
        lead.post(f"/webhooks/{webhook.pk}/test/")
    assert hints == ["send"]
    assert "not tried yet" in lead.get(f"/webhooks/{webhook.pk}/").content.decode()
    deliveries_send()
    page = lead.get(f"/webhooks/{webhook.pk}/").content.decode()
    assert "Answered 503: &lt;b&gt;out of order&lt;/b&gt;" in page
    assert "next try" in page


def test_an_event_is_sent_again(line: PolicyLine, lead: Client, inside: Receiver) -> None:
    webhook = a_webhook(line, inside.url())
    told(line)
    deliveries_send()
    delivery = Delivery.objects.get()
    lead.post(f"/webhooks/{webhook.pk}/deliveries/{delivery.pk}/again/")
    deliveries_send()
    assert len(inside.received) == 2
    other = a_webhook(line)
    answer = lead.post(f"/webhooks/{other.pk}/deliveries/{delivery.pk}/again/")
    assert answer.status_code == 404  # it is not of that webhook


def test_switched_off_nothing_can_be_sent_until_it_is_switched_on(
    line: PolicyLine, lead: Client
) -> None:
    webhook = a_webhook(line)
    lead.post(f"/webhooks/{webhook.pk}/switch/", {"active": "no"})
    answer = lead.post(f"/webhooks/{webhook.pk}/test/", follow=True)
    assert "switch it on first" in answer.content.decode()
    assert not Delivery.objects.exists()
    lead.post(f"/webhooks/{webhook.pk}/switch/")
    lead.post(f"/webhooks/{webhook.pk}/test/")
    assert Delivery.objects.count() == 1


def test_a_new_secret_is_shown_once_too(line: PolicyLine, lead: Client) -> None:
    webhook = a_webhook(line)
    answer = lead.post(f"/webhooks/{webhook.pk}/secret/")
    renewed = Webhook.objects.get()
    assert set(SECRET.findall(answer.content.decode())) == {secret_shown(renewed.salt)}
    assert renewed.salt != webhook.salt
    assert "For one day" in answer.content.decode()


def test_deleting_asks_first_and_takes_everything(line: PolicyLine, lead: Client) -> None:
    webhook = a_webhook(line)
    told(line)
    page = lead.get(f"/webhooks/{webhook.pk}/").content.decode()
    assert f"Delete {webhook.name} and its log?" in page
    answer = lead.post(f"/webhooks/{webhook.pk}/delete/", follow=True)
    assert "is deleted" in answer.content.decode()
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()


def test_the_audit_log_reads_as_sentences(line: PolicyLine, chief: Client) -> None:
    webhook = a_webhook(line)
    chief.post(f"/webhooks/{webhook.pk}/test/")
    page = chief.get("/audit/").content.decode()
    assert f"sent a test event to</span> webhook {webhook.name}" in page or (
        f"webhook {webhook.name}" in page and "sent a test event to" in page
    )
