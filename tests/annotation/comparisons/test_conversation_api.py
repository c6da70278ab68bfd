"""A live conversation by token: the page's services, for a program."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from annotation.campaigns.models import Campaign
from annotation.campaigns.services import guidelines_publish
from annotation.comparisons import services, speaking
from annotation.comparisons.models import Assignment, Comparison, Conversation, Judgment
from annotation.comparisons.services import leases_release_expired, turn_keep
from tests.annotation.comparisons.test_conversations import Page, Policy
from tests.annotation.factories import a_campaign
from tests.support.programs import Program, a_program, refused

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=93)


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    made = Policy("Red.", "Blue.", "A rose.", "A sea.", "Thorns.", "Waves.")
    monkeypatch.setattr(speaking, "policy_asked", made)
    return made


@pytest.fixture
def campaign() -> Campaign:
    return a_campaign(line_id=LINE, turns=2)


@pytest.fixture
def ann() -> Program:
    return a_program("annotator", "label", line=LINE, name="ann")


def now(program: Program, campaign: Campaign) -> Any:
    return program.post(f"labelling/{campaign.pk}/conversation").json()


def said(program: Program, campaign: Campaign, text: str, at: Any = None, **send: Any) -> Any:
    at = at or now(program, campaign)
    body = {"conversation": at["id"], "turn": at["turn"], "text": text}
    return program.post(f"labelling/{campaign.pk}/conversation/say", body, **send)


def chosen(program: Program, campaign: Campaign, pair: Any, text: str) -> Any:
    """The answer with this text is much better."""
    value = 1 if pair["left"] == text else 7
    place = f"labelling/{campaign.pk}/pairs/{pair['id']}/answer"
    return program.post(place, {"values": {"overall": value}, "seconds": 8.5})


def test_a_program_writes_compares_goes_on_and_ends(ann, campaign, policy):
    assert now(ann, campaign) == {
        "id": None, "turn": 1, "turns": 2, "messages": [], "pair": None, "says": "",
    }  # fmt: skip
    first = said(ann, campaign, " Name a colour. ").json()
    pair = first["pair"]
    assert {pair["left"], pair["right"]} == {"Red.", "Blue."}
    assert (first["same"], first["turn"], pair["left_ended"]) == (False, 1, True)
    assert ann.post(f"labelling/{campaign.pk}/next").json()["pair"]["id"] == pair["id"]
    assert chosen(ann, campaign, pair, "Blue.").json()["revision"] == 1
    assert Judgment.objects.get().seconds == 8.5
    at = now(ann, campaign)
    assert (at["turn"], at["pair"]) == (2, None)
    assert [turn["content"] for turn in at["messages"]] == ["Name a colour.", "Blue."]
    second = said(ann, campaign, "Where is it?", at).json()
    assert policy.asked[1]["messages"][1] == {"role": "assistant", "content": "Blue."}
    assert Comparison.objects.filter(purpose="training", strategy="conversation").count() == 2
    chosen(ann, campaign, second["pair"], "A sea.")
    assert (
        now(ann, campaign)["id"] is None
    )  # both turns are written: the next message begins another


def test_sending_again_makes_the_turn_once(ann, campaign, policy):
    at = now(ann, campaign)
    first = said(ann, campaign, "Name a colour.", at, key="one").json()
    assert said(ann, campaign, "Name a colour.", at, key="one").json() == first
    assert len(policy.asked) == 1
    refused(said(ann, campaign, "Name a smell.", at), 409)
    assert Comparison.objects.count() == 1


def test_the_same_message_twice_at_once_is_one_turn(ann, campaign, policy, monkeypatch):
    """The second one's answers are thrown away."""
    at = now(ann, campaign)

    def quicker(**given: Any) -> bool:
        monkeypatch.setattr(services, "turn_keep", turn_keep)
        said(ann, campaign, "Name a colour.", at)
        return turn_keep(**given)

    monkeypatch.setattr(services, "turn_keep", quicker)
    answer = said(ann, campaign, "Name a colour.", at).json()
    assert {answer["pair"]["left"], answer["pair"]["right"]} == {"A rose.", "A sea."}
    assert Comparison.objects.count() == 1


def test_another_message_meanwhile_is_refused(ann, campaign, policy, monkeypatch):
    at = now(ann, campaign)

    def quicker(**given: Any) -> bool:
        monkeypatch.setattr(services, "turn_keep", turn_keep)
        said(ann, campaign, "Name a smell.", at)
        return turn_keep(**given)

    monkeypatch.setattr(services, "turn_keep", quicker)
    refused(said(ann, campaign, "Name a colour.", at), 409)
    assert Comparison.objects.count() == 1


def test_a_silent_policy_keeps_nothing_and_says_so(ann, campaign, policy):
    policy.silent_after = 2
    problem = refused(said(ann, campaign, "Name a colour."), 503)
    assert problem["detail"] == "The policy does not answer now."
    assert not Conversation.objects.exists()
    policy.silent_after = None
    assert said(ann, campaign, "Name a colour.").json()["pair"] is not None


def test_two_equal_answers_go_on_without_a_pair(ann, campaign, monkeypatch):
    monkeypatch.setattr(speaking, "policy_asked", Policy(*["Yes."] * 5))
    answer = said(ann, campaign, "Say yes.").json()
    assert (answer["same"], answer["pair"], answer["turn"]) == (True, None, 2)
    assert answer["messages"][-1] == {"role": "assistant", "content": "Yes."}


def test_it_is_ended_once_nothing_waits_in_it(ann, campaign, policy):
    first = said(ann, campaign, "Name a colour.").json()
    where = {"conversation": first["id"]}
    place = f"labelling/{campaign.pk}/conversation/end"
    refused(ann.post(place, where), 422)
    chosen(ann, campaign, first["pair"], "Red.")
    for _ in range(2):
        assert ann.post(place, where).json()["id"] is None
    assert Conversation.objects.get().ended_at is not None


def test_it_is_the_same_conversation_as_on_the_page(ann, campaign, policy):
    said(ann, campaign, "Name a colour.")
    assignment = Assignment.objects.get()
    (item,) = Page(assignment.rater, campaign).next()["items"]
    assert item["id"] == str(assignment.pk)


def test_a_pair_whose_lease_ran_out_is_held_again(ann, campaign, policy):
    pair = said(ann, campaign, "Name a colour.").json()["pair"]
    Assignment.objects.update(lease_expires_at="2026-01-01T00:00:00Z")
    leases_release_expired()
    again = now(ann, campaign)["pair"]
    assert again["id"] == pair["id"]
    assert again["held_until"] >= pair["held_until"]


def test_names_are_hidden_and_no_model_is_told(ann, campaign, monkeypatch):
    texts = ("I am gpt-4o-mini. Yes.", "No.")
    monkeypatch.setattr(speaking, "policy_asked", Policy(*texts, "Two.", "Three."))
    first = said(ann, campaign, "Who?").json()
    assert "gpt-4o" not in str(first)
    (slot,) = Comparison.objects.get().slots.filter(completion__text=texts[0])
    named = "left" if Assignment.objects.get().shown_order[0] == slot.position else "right"
    chosen(ann, campaign, first["pair"], first["pair"][named])
    assert "gpt-4o" not in str(now(ann, campaign)["messages"])


def test_who_may_not_write_is_told_why(ann, campaign, policy):
    pairs = a_campaign(line_id=LINE)
    for act, body in (("", {}), ("/say", {"conversation": None, "turn": 1, "text": "Hi."})):
        problem = refused(ann.post(f"labelling/{pairs.pk}/conversation{act}", body), 422)
        assert "campaigns of conversations only" in problem["detail"]
    guidelines_publish(campaign=campaign, text="Be kind.", change_note="")
    refused(ann.post(f"labelling/{campaign.pk}/conversation"), 409)
    refused(said(ann, campaign, "Hi.", {"id": None, "turn": 1}), 409)
    reader = a_program("annotator", "read", line=LINE, name="reads")
    refused(reader.post(f"labelling/{campaign.pk}/conversation"), 403)
    elsewhere = a_program("annotator", "label", line=uuid.UUID(int=94), name="other")
    refused(elsewhere.post(f"labelling/{campaign.pk}/conversation"), 403)
    assert not policy.asked
