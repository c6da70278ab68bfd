"""The client of a live conversation against the site, over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from annotation.comparisons import speaking
from annotation.comparisons.models import ConversationTurn, Judgment
from tests.annotation.comparisons.test_conversations import Policy
from tests.annotation.factories import a_campaign
from tests.support.programs import a_program
from web.client import Outerloop
from web.client_conversing import Conversing

LINE = uuid.UUID(int=95)


@pytest.fixture
def talk(transactional_db: None, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Conversing:
    monkeypatch.setattr(
        speaking, "policy_asked", Policy("Red.", "Blue.", "Yes.", "Yes.", "Yes.", "Yes.", "Yes.")
    )
    campaign = a_campaign(line_id=LINE, turns=5)
    ann = a_program("annotator", "label", line=LINE, name="ann")
    return Conversing(Outerloop(live_server.url, ann.secret), str(campaign.pk))


def test_a_conversation_from_its_first_message_to_its_end(talk: Conversing) -> None:
    assert talk.now()["id"] is None
    pair = talk.say("Name a colour.")
    assert pair is not None
    assert {pair["left"], pair["right"]} == {"Red.", "Blue."}
    assert talk.choose(pair, 7, seconds=4.0)["revision"] == 1
    assert Judgment.objects.get().seconds == 4.0
    assert talk.state["messages"][-1]["content"] == pair["right"]
    assert talk.say("Is it warm?") is None  # the policy said the same twice
    assert talk.state["turn"] == 3
    assert ConversationTurn.objects.count() == 2
    assert talk.end()["id"] is None
    assert talk.end()["turn"] == 1
