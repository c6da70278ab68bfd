"""Every operation that the document lends an Idempotency-Key carries a request out once under one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import resolve

from annotation import facade as annotation
from annotation.campaigns.models import Campaign
from annotation.comparisons import speaking
from annotation.comparisons.models import Comparison
from outerloop.rounds import api as rounds
from outerloop.rounds import line_api
from outerloop.rounds.models import PolicyLine, Round
from tests.access.table import RULES
from tests.access.world import House, house_build
from tests.annotation.comparisons.test_conversations import Policy
from tests.annotation.signals.conversations import asked, falling_on, names, thumbs_given
from web.models import AuditEvent

# A judgment keeps its key for good, and a message has its turn once.
ITSELF = {"pair_answer", "pair_revise", "conversation_say"}
# Asked as often as one likes; and no answer that holds a secret is kept.
WITHOUT = {"conversation_read", "import_check", "pair_next", "webhook_secret_draw"}
BODIES = {"round_order": {"forced": True}}


def posted() -> dict[str, tuple[str, bool]]:
    """Operation -> its address, and whether the document has a key for it."""
    document = Client().get("/api/v1/openapi.json").json()
    return {
        post["operationId"]: (
            path,
            "Idempotency-Key" in {each["name"] for each in post["parameters"]},
        )
        for path, methods in document["paths"].items()
        if (post := methods.get("post"))
    }


@pytest.fixture
def house(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    settings.VAR_DIR, settings.ARTIFACT_ROOT = tmp_path, tmp_path / "artifacts"
    for module in (rounds, line_api):
        monkeypatch.setattr(module, "advance_enqueue", lambda round_id, state: None)
    monkeypatch.setattr(speaking, "policy_asked", Policy("Red.", "Blue."))
    monkeypatch.setattr(line_api, "base_enqueue", lambda order_id: None)
    return house_build(tmp_path)


def test_what_the_document_lends_a_key_is_done_once_under_it(house: House) -> None:
    found = posted()
    assert {name for name, (_, keeps) in found.items() if not keeps} == WITHOUT
    answers = {}
    for name, (path, keeps) in found.items():
        if keeps:
            with transaction.atomic():
                answers[name] = _twice(house, name, path)
                transaction.set_rollback(True)
    assert len(answers) > 12
    for name, (first, again) in answers.items():
        assert first.status_code == again.status_code < 300, (name, first.content)
        repeated = {"repeated": True} if "repeated" in first.json() else {}
        assert {**first.json(), **repeated} == again.json(), name
        assert (again.get("Idempotent-Replay") == "true") is (name not in ITSELF), name


def _made_ready(house: House, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be there for the request to be carried out; returns what it has to name of it."""
    if name == "campaign_store":
        Campaign.objects.update(state="closed")
    if name == "warning_agree":
        Campaign.objects.update(sensitive_warning=body["text"])
    if name == "conversation_say":
        Campaign.objects.update(turns=2, gate_share=0.0)
    if name == "base_choose":
        PolicyLine.objects.update(base_version=None)
    if name == "first_pairs_write":
        Round.objects.all().delete()
    if name != "troubled_add":
        return {}
    annotation.signals_switch(line_id=house.line, on=True, actor="a", name="tides")
    thumbs_given(house.line, uuid.uuid4(), asked("Thanks"), names("calm", 30), "up")
    thumbs_given(house.line, uuid.uuid4(), asked(falling_on("train")), names("u", 8))
    troubled = annotation.troubled_prompts(line_id=house.line)
    return {"conversations": [each.conversation for each in troubled]}


def _twice(house: House, name: str, path: str) -> tuple[Any, Any]:
    """The same request two times; the second must leave the audit log as it is."""
    own = {"job_id": house.arguments["import_id"]} if "/imports/" in path else {}
    own |= {"pair_id": Comparison.objects.get(purpose="gold").pk}
    address = path.format(**{**house.arguments, **own})
    rule = RULES[f"api:{resolve(address).url_name}"]
    client = house.client(min(rule.post, key=str.__len__), by_token=True)
    more = {**BODIES.get(name, {}), **_made_ready(house, name, rule.body)}
    if name == "pair_revise":
        client.post(address.replace("/revise", "/answer"), rule.body, "application/json")

    def ask() -> Any:
        body = house.filled({**rule.body, **more})
        sent = (json.dumps(body), "application/json") if rule.json else (body,)
        return client.post(address, *sent, headers={"Idempotency-Key": "a-key"})

    first, events = ask(), AuditEvent.objects.count()
    again = ask()
    assert AuditEvent.objects.count() == events, name
    return first, again
