"""Campaigns by token: made as drafts, moved as on the page, counted, with their quality."""

from __future__ import annotations

import uuid

import pytest

from annotation.campaigns.models import Campaign
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support.programs import a_program, refused
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)


@pytest.fixture
def eve():
    return a_program("engineer", "read", "campaigns", line=LINE)


def test_a_campaign_is_made_as_a_draft_with_its_guidelines_and_criteria(eve):
    body = {
        "line": str(LINE),
        "name": "Tone",
        "guidelines": "Be kind.",
        "criteria": [{"key": "honest", "name": "Honest"}],
        "overlap": 2,
        "label_budget": 50,
    }
    made = eve.post("campaigns", body).json()
    assert (made["state"], made["guidelines"], made["overlap"]) == ("draft", 1, 2)
    assert [each["key"] for each in made["criteria"]] == ["overall", "honest"]
    campaign = Campaign.objects.get()
    assert (campaign.line, campaign.label_budget) == (LINE, 50)
    version = campaign.guidelines.get()
    assert (version.text, version.author) == ("Be kind.", eve.user)
    event = AuditEvent.objects.get()
    assert (event.verb, event.actor, event.line) == ("created campaign", str(eve.user.pk), LINE)


def test_a_campaign_of_conversations_is_made_and_shown(eve):
    body = {"line": str(LINE), "name": "Talks", "turns": 4, "opening": "Ask about bees."}
    made = eve.post("campaigns", body).json()
    assert (made["turns"], made["opening"], made["gate_share"]) == (4, "Ask about bees.", 0.0)
    plain = eve.post("campaigns", {"line": str(LINE), "name": "Pairs"}).json()
    assert (plain["turns"], plain["opening"]) == (None, "")
    said = refused(eve.post("campaigns", {**body, "answers": 3}), 422)["detail"]
    assert "two answers are compared" in said


def test_a_campaign_is_started_paused_and_closed(eve):
    campaign = a_campaign(line_id=LINE, state="draft")
    address = f"campaigns/{campaign.pk}/state"
    assert "cannot become paused" in refused(eve.post(address, {"state": "paused"}), 422)["detail"]
    for state in ("active", "paused", "closed"):
        assert eve.post(address, {"state": state}).json()["state"] == state
        campaign.refresh_from_db()
        assert campaign.state == state
    assert AuditEvent.objects.filter(verb="changed state").count() == 3
    eve.post(address, {"state": "closed"})  # as it is: nothing happened
    assert AuditEvent.objects.filter(verb="changed state").count() == 3


def test_a_campaign_tells_how_far_its_queue_is_and_how_good_its_labels_are(eve):
    campaign, other = (a_campaign(line_id=LINE, overlap=2) for _ in range(2))
    some_pairs(campaign, 2)
    some_pairs(other, 1)
    ann, bob = an_annotator(campaign), an_annotator(campaign)
    label_next(ann, campaign, 2)
    label_next(ann, other, 2)
    label_next(bob, campaign, 4)
    (queue,) = eve.get(f"campaigns/{campaign.pk}").json()["queue"]
    assert (queue["purpose"], queue["pairs"], queue["judged"]) == ("training", 2, 2)
    quality = eve.get(f"campaigns/{campaign.pk}/quality").json()
    assert (quality["labels"], quality["ties"], len(quality["raters"])) == (2, 1, 2)
    assert {row["rater"]: row["labels"] for row in quality["raters"]} == {
        ann.pseudonym: 1,
        bob.pseudonym: 1,
    }


def test_campaigns_are_narrowed_by_line_and_state(eve):
    active = a_campaign(line_id=LINE)
    draft = a_campaign(line_id=LINE, state="draft")
    foreign = a_campaign(line_id=OTHER_LINE)
    ids = {str(active.pk), str(draft.pk)}
    assert {row["id"] for row in eve.items("campaigns")} == ids
    assert [row["id"] for row in eve.items("campaigns", state="draft")] == [str(draft.pk)]
    assert refused(eve.get("campaigns", line=str(OTHER_LINE)), 403)
    assert refused(eve.get(f"campaigns/{foreign.pk}"), 403)
    chief = a_program("lead", "read", name="max")
    assert len(chief.items("campaigns")) == 3
    assert [r["id"] for r in chief.items("campaigns", line=str(OTHER_LINE))] == [str(foreign.pk)]
