"""Webhooks by program, through the client that programs copy."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.accounts.tokens import token_issue
from outerloop.webhooks.models import Delivery, Webhook
from outerloop.webhooks.sending import deliveries_send
from outerloop.webhooks.signing import secret_shown
from tests.outerloop.rounds.world import bare_line
from tests.support.people import person_create
from tests.support.receivers import Receiver
from web.client import Outerloop, OuterloopError
from web.models import KeptAnswer

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = ["round.decided", "round.started"]


def client_of(url: str, *roles: str, scopes: list[str], line: Any = None) -> Outerloop:
    person = person_create("prog", *roles, line=line)
    _, secret = token_issue(user=person, name="t", days=1, scopes=scopes)
    return Outerloop(url, secret)


def test_a_program_makes_tests_changes_and_deletes_a_webhook(
    live_server: Any, inside: Receiver
) -> None:
    line = bare_line()
    site = client_of(live_server.url, "lead", scopes=["webhooks"], line=line.pk)
    made = site.webhook_create(str(line.pk), "chat", inside.url(), KINDS)
    assert (made["kinds"], made["active"]) == (["round.started", "round.decided"], True)
    secret = site.webhook_secret(made["id"])
    assert secret == secret_shown(Webhook.objects.get().salt)
    site.webhook_test(made["id"])
    deliveries_send()
    (delivery,) = site.deliveries(made["id"])
    assert (delivery["kind"], delivery["state"]) == ("webhook.test", "delivered")
    assert delivery["event"] == inside.received[0].headers["webhook-id"]
    assert delivery["body"] == inside.received[0].body.decode()
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]
    again = site.delivery_again(made["id"], delivery["id"])
    assert (again["state"], again["event"]) == ("waiting", delivery["event"])
    changed = site.webhook_change(made["id"], name="team", active=False)
    assert (changed["name"], changed["url"], changed["active"]) == ("team", inside.url(), False)
    with pytest.raises(OuterloopError, match="409: The webhook is switched off"):
        site.webhook_test(made["id"])
    assert [each["id"] for each in site.webhooks()] == [made["id"]]
    site.webhook_delete(made["id"])
    assert list(site.webhooks()) == []
    assert not Delivery.objects.exists()


def test_no_answer_that_is_kept_for_a_repeat_holds_the_secret(live_server: Any) -> None:
    line = bare_line()
    site = client_of(live_server.url, "lead", scopes=["webhooks"], line=line.pk)
    made = site.webhook_create(str(line.pk), "chat", "https://hooks.example.com/", KINDS)
    site.webhook_secret(made["id"])
    kept = list(KeptAnswer.objects.values_list("body", flat=True))
    assert len(kept) == 1
    assert "whsec_" not in "".join(kept)


def test_refusals_name_the_field_the_role_and_the_scope(live_server: Any) -> None:
    line, other = bare_line(), bare_line()
    site = client_of(live_server.url, "lead", scopes=["webhooks", "read"], line=line.pk)
    with pytest.raises(OuterloopError) as refused:
        site.webhook_create(str(line.pk), "chat", "http://10.0.0.1/", ["round.eaten"])
    assert set(refused.value.errors) == {"url", "kinds"}
    for place in (str(other.pk), None):
        with pytest.raises(OuterloopError, match="403"):
            site.webhook_create(place, "chat", "https://hooks.example.com/", KINDS)
    site.token = token_issue(
        user=person_create("reader", "lead"), name="t", days=1, scopes=["read"]
    )[1]
    with pytest.raises(OuterloopError, match=r"403.*scope"):
        list(site.webhooks())
