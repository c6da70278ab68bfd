"""Campaign pages as outsider, annotator, engineer and lead."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from annotation.campaigns.models import Campaign
from annotation.campaigns.services import guidelines_publish
from tests.annotation.factories import a_campaign, a_simulation, label_next, some_pairs
from tests.support import registry
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)
NEW = {
    "name": "Help desk",
    "line": str(LINE),
    "guidelines": "Be right.",
    "daily_goal": 40,
    "overlap": 1,
}


def _client(name: str, *roles: str, line=LINE) -> Client:
    client = Client()
    client.force_login(person_create(name, *roles, line=line))
    return client


@pytest.fixture
def campaign():
    return a_campaign(line_id=LINE, name="Help desk", criteria=[("honest", "Honest")])


@pytest.fixture
def eve():
    return _client("eve", "engineer")


@pytest.fixture
def named_lines(monkeypatch):
    registry.named_lines(monkeypatch, desk=LINE, other=OTHER_LINE)


@pytest.mark.parametrize(("roles", "line"), [(("annotator",), LINE), (("lead",), OTHER_LINE)])
def test_annotators_and_staff_of_other_lines_see_no_campaign_page(campaign, roles, line):
    outsider = _client("outsider", *roles, line=line)
    base = f"/campaigns/{campaign.pk}/"
    for address in (base, f"{base}settings/", f"{base}guidelines/"):
        assert outsider.get(address).status_code == 403
    assert outsider.post(f"{base}state/", {"state": "closed"}).status_code == 403
    assert b"Help desk" not in outsider.get("/campaigns/").content
    campaign.refresh_from_db()
    assert campaign.state == "active"


def test_the_list_shows_the_queue_of_each_campaign(campaign, eve, named_lines):
    some_pairs(campaign, 3)
    html = eve.get("/campaigns/").content.decode()
    assert "Help desk" in html
    assert "desk" in html
    assert '<td class="number" data-label="Open pairs">3</td>' in html


def test_the_detail_counts_pairs_and_calls_simulations_simulated(campaign, eve):
    some_pairs(campaign, 4)
    label_next(a_simulation(), campaign)
    html = " ".join(eve.get(f"/campaigns/{campaign.pk}/").content.decode().split())
    assert (
        '<td class="number" data-label="Pairs">4</td><td class="number" data-label="Open">3</td>'
        in html
    )
    assert "1 of 4" in html
    assert "simulated" in html


def test_an_empty_campaign_says_where_pairs_come_from(campaign, eve):
    assert b"or from an import" in eve.get(f"/campaigns/{campaign.pk}/").content


def test_a_new_campaign_is_a_draft_with_guidelines_and_criteria(eve, named_lines):
    answer = eve.post("/campaigns/new/", {**NEW, "criteria": "Honest\nNot harmful\n"})
    made = Campaign.objects.get()
    assert answer["Location"] == f"/campaigns/{made.pk}/"
    assert (made.state, made.line, made.guidelines.get().number) == ("draft", LINE, 1)
    assert list(made.criteria.values_list("key", flat=True)) == ["overall", "honest", "not-harmful"]
    assert AuditEvent.objects.get().verb == "created campaign"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("line", str(OTHER_LINE), "Select a valid choice"),
        ("criteria", "Honest\nhonest", "a name of its own"),
        ("guidelines", " ", "This field is required"),
    ],
)
def test_a_wrong_field_is_answered_beside_it(eve, named_lines, field, value, says):
    answer = eve.post("/campaigns/new/", {**NEW, field: value})
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert not Campaign.objects.exists()


TALKS = {**NEW, "turns": 4, "opening": "Ask about *bees*."}


def test_a_campaign_of_conversations_is_made_and_tells_what_it_is(eve, named_lines):
    eve.post("/campaigns/new/", TALKS)
    made = Campaign.objects.get()
    assert (made.turns, made.opening, made.gate_share) == (4, "Ask about *bees*.", 0.0)
    page = eve.get(f"/campaigns/{made.pk}/").content.decode()
    assert "with the deployed policy, 4 turns at most" in page
    assert "Ask about <em>bees</em>." in page
    assert "Each message that people write to the policy makes one" in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("turns", 21, "less than or equal to 20"),
        ("turns", 0, "greater than or equal to 1"),
        ("turns", "", "say how many turns they have"),
        ("answers", 3, "leave this empty to rank"),
    ],
)
def test_a_conversation_that_cannot_be_is_answered_beside_its_field(
    eve, named_lines, field, value, says
):
    answer = eve.post("/campaigns/new/", {**TALKS, field: value})
    assert says in answer.content.decode()
    assert not Campaign.objects.exists()


def test_turns_and_opening_are_settings_of_conversations_alone(campaign, eve):
    shown = eve.get(f"/campaigns/{campaign.pk}/settings/").context["form"]
    assert not {"turns", "opening"} & set(shown.fields)
    talks = a_campaign(line_id=LINE, turns=2)
    address = f"/campaigns/{talks.pk}/settings/"
    form = eve.get(address).context["form"]
    assert "gate_share" not in form.fields
    data = {name: "" if value is None else value for name, value in form.initial.items()}
    assert "This field is required" in eve.post(address, {**data, "turns": ""}).content.decode()
    eve.post(address, {**data, "turns": 6, "opening": "Ask about bees."})
    talks.refresh_from_db()
    assert (talks.turns, talks.opening) == (6, "Ask about bees.")


def test_settings_are_saved_and_the_change_is_recorded(campaign, eve):
    form = eve.get(f"/campaigns/{campaign.pk}/settings/").context["form"]
    data = {name: "" if value is None else value for name, value in form.initial.items()}
    eve.post(f"/campaigns/{campaign.pk}/settings/", {**data, "daily_goal": 70})
    campaign.refresh_from_db()
    assert campaign.daily_goal == 70
    assert AuditEvent.objects.get().detail == {"daily_goal": [100, 70]}


def test_shares_that_exceed_the_whole_are_refused_in_words(campaign, eve):
    form = eve.get(f"/campaigns/{campaign.pk}/settings/").context["form"]
    data = {name: "" if value is None else value for name, value in form.initial.items()}
    answer = eve.post(
        f"/campaigns/{campaign.pk}/settings/", {**data, "gate_share": 0.9, "gold_share": 0.3}
    )
    assert b"must add up to 1" in answer.content


def test_a_state_that_cannot_be_reached_is_refused_in_words(campaign, eve):
    page = eve.post(f"/campaigns/{campaign.pk}/state/", {"state": "draft"}, follow=True)
    assert b"cannot become draft" in page.content
    page = eve.post(f"/campaigns/{campaign.pk}/state/", {"state": "paused"}, follow=True)
    assert b"nobody is given a pair" in page.content
    assert AuditEvent.objects.get().detail == {"before": "active", "after": "paused"}


def test_new_guidelines_become_the_next_version_and_the_old_stay_readable(campaign, eve):
    guidelines_publish(campaign=campaign, text="Prefer the **old** way.")
    address = f"/campaigns/{campaign.pk}/guidelines/"
    page = eve.post(address, {"text": "Prefer <b>new</b>.", "change_note": "All new."}, follow=True)
    html = page.content.decode()
    assert "Version 2" in html
    assert "<b>new</b>" not in html
    assert "<strong>old</strong>" in eve.get(f"{address}?version=1").content.decode()
    assert eve.get(f"{address}?version=9").status_code == 404
