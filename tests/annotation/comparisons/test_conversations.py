"""A live conversation with the policy: every compared turn is an ordinary judged pair."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from annotation import facade
from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons import digests, speaking
from annotation.comparisons.conversations import conversation_now
from annotation.comparisons.models import (
    Assignment,
    Comparison,
    Completion,
    Conversation,
    ConversationTurn,
    Prompt,
    RootSplit,
)
from annotation.comparisons.records import AnswerInvalid
from annotation.comparisons.services import (
    assignment_park,
    assignment_undo,
    leases_release_expired,
    pairs_create,
)
from annotation.contracts import AnnotationError, SnapshotRecipe
from tests.annotation.factories import a_campaign, an_annotator, some_pairs, submit
from web.voices import PolicySilent, Spoken, WrittenBy

pytestmark = pytest.mark.django_db
VERSION = uuid.UUID(int=7)
BY = WrittenBy(VERSION, "ab" * 32, {"temperature": 1.0, "max_new_tokens": 64}, ended=True)


class Policy:
    """Stands where the policy server is asked: gives the answers that it was told, one after another."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.silent_after: int | None = None

    def __call__(self, *, line_id: uuid.UUID, messages: Any, seeds: Any) -> Any:
        self.asked.append({"line": line_id, "messages": list(messages), "seeds": list(seeds)})
        said = [self.answers.pop(0) for _ in seeds]
        longest = max(len(text) for text in said)
        for at in range(longest):
            if self.silent_after is not None and at >= self.silent_after:
                raise PolicySilent("The policy does not answer now.")
            for place, text in enumerate(said):
                if at < len(text):
                    yield Spoken(place, text[at])
        for place in range(len(said)):
            yield Spoken(place, by=BY)


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    made = Policy("Red.", "Blue.", "A rose.", "A sea.", "Thorns.", "Waves.")
    monkeypatch.setattr(speaking, "policy_asked", made)
    return made


@pytest.fixture
def campaign() -> Campaign:
    return a_campaign(turns=2)


class Page:
    """The doors of the compare page, as its script goes through them."""

    def __init__(self, rater: Rater, campaign: Campaign) -> None:
        self.campaign, self.client = campaign, Client()
        assert rater.user is not None
        self.client.force_login(rater.user, backend="django.contrib.auth.backends.ModelBackend")

    def post(self, name: str, body: dict[str, Any], status: int = 200) -> Any:
        address = reverse(f"comparisons:{name}", args=[self.campaign.pk])
        response: Any = self.client.post(address, body, content_type="application/json")
        assert response.status_code == status, response.content
        if not response.streaming:
            return response.json()
        return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]

    def next(self, **body: Any) -> Any:
        return self.post("next", body)

    def say(self, text: str, status: int = 200) -> Any:
        """Sent as the next turn of the conversation that `next` tells of."""
        where = self.next()["conversation"]
        body = {"conversation": where["id"], "turn": where["turn"], "text": text}
        events = self.post("say", body, status)
        return events[-1] if isinstance(events, list) else events


@pytest.fixture
def page(annotator: Rater, campaign: Campaign) -> Page:
    return Page(annotator, campaign)


def judged(page: Page, rater: Rater, better: str) -> Assignment:
    """The pair that waits is answered: the answer with the text `better` is much better."""
    assignment = Assignment.objects.get(state="leased", rater=rater)
    slot = next(
        s.position for s in assignment.comparison.slots.all() if s.completion.text == better
    )
    submit(rater, assignment.pk, 1 if assignment.shown_order[0] == slot else 7)
    return assignment


# ----------------------------------------------------------------------- from message to pair


def test_a_message_becomes_a_training_pair_that_its_writer_holds(page, campaign, annotator, policy):
    last = page.say("  Name a colour. ")
    (item,) = last["items"]
    assert {item["left"]["text"], item["right"]["text"]} == {"Red.", "Blue."}
    assert [m["text"] for m in item["messages"]] == ["Name a colour."]
    comparison = Comparison.objects.get()
    assert (comparison.purpose, comparison.strategy, comparison.source) == (
        "training", "conversation", "conversation",
    )  # fmt: skip
    assert (comparison.wanted, comparison.leased, comparison.judged) == (1, 1, 0)
    assignment = Assignment.objects.get()
    assert str(assignment.pk) == item["id"]
    assert assignment.rater == annotator
    texts = [comparison.slots.get(position=n).completion.text for n in assignment.shown_order]
    assert texts == [item["left"]["text"], item["right"]["text"]]
    for completion in Completion.objects.all():
        assert completion.model_version == VERSION
        assert completion.artifact_sha256 == "ab" * 32
        assert completion.sampling == {"temperature": 1.0, "max_new_tokens": 64}
    seeds = policy.asked[0]["seeds"]
    assert set(Completion.objects.values_list("seed", flat=True)) == set(seeds)
    assert len(set(seeds)) == 2
    assert policy.asked[0]["line"] == campaign.line


def test_the_better_answer_goes_on_and_the_chain_stays_on_one_side(page, annotator, policy):
    page.say("Name a colour.")
    judged(page, annotator, "Blue.")
    shown = page.next()["conversation"]
    assert (shown["turn"], shown["turns"], shown["waits"]) == (2, 2, False)
    assert [m["text"] for m in shown["messages"]] == ["Name a colour.", "Blue."]
    page.say("Something of that colour?")
    assert [m["content"] for m in policy.asked[1]["messages"]] == [
        "Name a colour.", "Blue.", "Something of that colour?",
    ]  # fmt: skip
    first, second = Prompt.objects.order_by("created_at")
    assert first.root_hash == second.root_hash == digests.root_hash(first.messages)
    assert first.split == second.split
    assert RootSplit.objects.count() == 1


def test_a_tie_goes_on_with_one_of_the_two_and_always_the_same(page, annotator, campaign, policy):
    page.say("Name a colour.")
    submit(annotator, Assignment.objects.get().pk, 4, both_bad=True)
    first = conversation_now(rater=annotator, campaign=campaign)
    assert first.messages[1]["content"] in {"Red.", "Blue."}
    assert first == conversation_now(rater=annotator, campaign=campaign)


def test_a_compared_turn_trains_like_any_label(page, annotator, campaign, policy):
    page.say("Name a colour.")
    judged(page, annotator, "Blue.")
    page.say("Something of that colour?")
    judged(page, annotator, "A rose.")
    rows = list(facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe()))
    found = {row.messages[-1]["content"]: row for row in rows}
    turn = found["Something of that colour?"]
    assert [m["content"] for m in turn.messages][:2] == ["Name a colour.", "Blue."]
    assert turn.completions[0 if turn.preference > 0.5 else 1] == "A rose."
    assert {row.split for row in rows} == {turn.split}
    assert {row.group for row in rows} == {turn.group}
    assert turn.split in {"train", "validation", "test"}


def test_an_undone_comparison_is_before_its_writer_again(page, annotator, campaign, policy):
    page.say("Name a colour.")
    assignment = judged(page, annotator, "Blue.")
    assignment_undo(rater=annotator, assignment_id=assignment.pk)
    back = page.next()
    assert back["items"][0]["id"] == str(assignment.pk)
    assert back["conversation"]["waits"] is True
    judged(page, annotator, "Red.")
    assert page.next()["conversation"]["messages"][-1]["text"] == "Red."


def test_what_went_on_stays_when_an_earlier_answer_is_edited(page, annotator, campaign, policy):
    page.say("Name a colour.")
    first = judged(page, annotator, "Blue.")
    page.say("Something of that colour?")
    judged(page, annotator, "A sea.")
    assignment_undo(rater=annotator, assignment_id=first.pk)
    judged(page, annotator, "Red.")
    talk = conversation_now(rater=annotator, campaign=campaign)
    assert [m["content"] for m in talk.messages][1] == "Blue."


def test_at_the_last_turn_the_conversation_is_over_and_another_begins(
    page, annotator, campaign, policy
):
    for text, better in (("Name a colour.", "Blue."), ("What else?", "A sea.")):
        page.say(text)
        judged(page, annotator, better)
    shown = page.next()["conversation"]
    assert (shown["over"], shown["id"], shown["turn"], shown["messages"]) == (True, None, 1, [])
    page.say("Name a smell.")
    assert Conversation.objects.count() == 2
    assert Conversation.objects.filter(ended_at=None).count() == 1
    assert len(policy.asked[2]["messages"]) == 1


# ------------------------------------------------------------------------- nothing to compare


def test_the_same_answer_twice_is_drawn_anew_and_never_shown(page, annotator, policy):
    policy.answers = ["Red.", "Red.", "Red.", "Green."]
    events = page.post("say", {"conversation": None, "turn": 1, "text": "Name a colour."})
    assert [len(asked["seeds"]) for asked in policy.asked] == [2, 1, 1]
    assert all("left" not in event for event in events[:-1])
    (item,) = events[-1]["items"]
    assert {item["left"]["text"], item["right"]["text"]} == {"Red.", "Green."}


def test_where_it_stays_the_same_nobody_is_asked_and_the_answer_goes_on(page, annotator, policy):
    policy.answers = ["Red."] * 5
    last = page.say("Name a colour.")
    assert last["items"] == []
    assert last["same"] is True
    assert not Comparison.objects.exists()
    shown = page.next()["conversation"]
    assert [m["text"] for m in shown["messages"]] == ["Name a colour.", "Red."]
    assert Completion.objects.get().model_version == VERSION
    assert ConversationTurn.objects.get().reply == Completion.objects.get()


def test_a_pair_that_the_campaign_knows_is_not_asked_about_again(page, campaign, policy):
    page.say("Name a colour.")
    other = an_annotator(campaign)
    policy.answers = ["Blue.", "Red."]
    last = Page(other, campaign).say("Name a colour.")
    # the first one still waits for who holds it: nothing of it is given to the other
    assert last["same"] is True
    assert Comparison.objects.count() == 1


# --------------------------------------------------------------------------- nothing is lost


def test_a_policy_that_falls_silent_in_the_middle_leaves_nothing_behind(page, policy):
    policy.silent_after = 2
    events = page.post("say", {"conversation": None, "turn": 1, "text": "Name a colour."})
    assert events[-1] == {"error": "The policy does not answer now."}
    assert not Prompt.objects.exists()
    assert not Conversation.objects.exists()
    policy.silent_after, policy.answers = None, ["Red.", "Blue."]
    assert page.say("Name a colour.")["items"]


def test_a_message_sent_twice_counts_once(page, policy):
    body = {"conversation": None, "turn": 1, "text": "Name a colour."}
    first = page.post("say", body)[-1]["items"][0]["id"]
    again = page.post("say", body)
    assert again["items"][0]["id"] == first
    assert len(policy.asked) == 1


def test_another_tab_that_was_quicker_is_told_of(page, annotator, policy):
    page.say("Name a colour.")
    body = {"conversation": None, "turn": 1, "text": "Name a smell."}
    assert "gone on in another tab" in page.post("say", body, status=409)["error"]
    judged(page, annotator, "Red.")
    stale = {**body, "conversation": str(Conversation.objects.get().pk)}
    assert "gone on in another tab" in page.post("say", stale, status=409)["error"]


def test_a_turn_whose_lease_ran_out_comes_back_first(page, annotator, campaign, policy):
    page.say("Name a colour.")
    Assignment.objects.update(lease_expires_at="2020-01-01T00:00Z")
    leases_release_expired()
    some_pairs(campaign, 1)
    back = page.next()
    assert [m["text"] for m in back["items"][0]["messages"]] == ["Name a colour."]
    assert back["conversation"]["waits"] is True


def test_a_skipped_turn_ends_the_conversation_and_goes_to_others(page, annotator, campaign, policy):
    page.say("Name a colour.")
    assignment = Assignment.objects.get()
    address = reverse("comparisons:skip", args=[campaign.pk, assignment.pk])
    skip = {"reason": "cannot_judge"}
    page.client.post(address, skip, content_type="application/json")
    assert page.next()["conversation"]["over"] is True
    # taken back, it goes on where it was
    page.post("undo", {})
    assert page.next()["conversation"]["waits"] is True
    page.client.post(address, skip, content_type="application/json")
    other = Page(an_annotator(campaign), campaign)
    assert other.next()["items"][0]["messages"][0]["text"] == "Name a colour."


def test_pairs_that_wait_for_others_come_between_conversations_and_not_in_one(
    page, annotator, campaign, policy
):
    page.say("Name a colour.")
    judged(page, annotator, "Red.")
    some_pairs(campaign, 1)
    assert page.next()["items"] == []
    page.post("end", {"conversation": str(Conversation.objects.get().pk)})
    assert page.next()["items"][0]["messages"][0]["text"].startswith("Question")


def test_a_conversation_ends_when_its_writer_says_so_but_not_in_a_comparison(
    page, annotator, policy
):
    page.say("Name a colour.")
    conversation = {"conversation": str(Conversation.objects.get().pk)}
    assert "Compare the two answers first" in page.post("end", conversation, status=400)["error"]
    judged(page, annotator, "Red.")
    shown = page.post("end", conversation)["conversation"]
    assert (shown["id"], shown["turn"]) == (None, 1)
    assert Conversation.objects.get().ended_at is not None
    assert page.post("end", conversation)["conversation"]["id"] is None


# ----------------------------------------------------------------------- what is not sent at all


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"text": "   "}, "Write a message first"),
        ({"text": ""}, "text: send a text"),
        ({"text": "x" * 10_001}, "too long"),
        ({"turn": 0}, "turn: send a whole number"),
        ({"conversation": "none"}, "conversation: send the id"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused_by_name(page, policy, body, says):
    sent = {"conversation": None, "turn": 1, "text": "Name a colour.", **body}
    assert says in page.post("say", sent, status=400)["error"]
    assert not policy.asked


def test_words_that_are_kept_for_evaluation_begin_no_conversation(page, campaign, policy):
    messages = [{"role": "user", "content": "name a COLOUR."}]
    RootSplit.objects.create(
        line=campaign.line, root_hash=digests.root_hash(messages), split="evaluation"
    )
    assert "begin with other words" in page.say("Name a colour.", status=400)["error"]
    assert not policy.asked


def test_the_queue_s_own_conditions_hold(annotator, campaign, policy):
    plain = a_campaign(line_id=campaign.line)
    body = {"conversation": None, "turn": 1, "text": "Hello."}
    assert "campaigns of conversations" in Page(annotator, plain).post("say", body, 400)["error"]
    paused = a_campaign(line_id=campaign.line, turns=2, state="paused")
    assert "is paused" in Page(annotator, paused).post("say", body, 409)["error"]
    read = a_campaign(line_id=campaign.line, turns=2, guidelines="Be kind.")
    assert "version 1 of the guidelines" in Page(annotator, read).post("say", body, 409)["error"]
    assert not policy.asked


def test_the_budget_ends_what_people_may_write(annotator, campaign, policy):
    campaign = a_campaign(line_id=campaign.line, turns=3, label_budget=1)
    page = Page(annotator, campaign)
    page.say("Name a colour.")
    judged(page, annotator, "Red.")
    assert "all the answers that it wants" in page.next()["says"]
    body = {"conversation": str(Conversation.objects.get().pk), "turn": 2, "text": "More?"}
    assert "all the answers that it wants" in page.post("say", body, status=409)["error"]


def test_a_turn_is_not_parked(page, annotator, policy):
    page.say("Name a colour.")
    with pytest.raises(AnswerInvalid, match="nothing is parked"):
        assignment_park(rater=annotator, assignment_id=Assignment.objects.get().pk, draft={})


def test_nobody_reaches_another_s_conversation(page, campaign, policy):
    page.say("Name a colour.")
    other = Page(an_annotator(campaign), campaign)
    named = str(Conversation.objects.get().pk)
    body = {"conversation": named, "turn": 2, "text": "And mine?"}
    assert "gone on" in other.post("say", body, status=409)["error"]
    other.post("end", {"conversation": named})
    assert Conversation.objects.get().ended_at is None
    assert other.next()["conversation"]["messages"] == []


# ------------------------------------------------------------------------ what may be read of it


def test_what_is_read_while_it_is_written_is_blind(campaign):
    far = " The sky has many colours, and each of them has a name of its own in some language." * 3
    heard = speaking.AnswerUnderWay(text=f"I am ChatGPT, made by OpenAI. Blue.{far}")
    other = speaking.AnswerUnderWay(text=f"Red is one.{far}")
    read = speaking.read_so_far(campaign, [heard, other])
    assert read is not None
    assert "ChatGPT" not in read[0]
    assert "hidden" in read[0]
    assert read[1].startswith("Red is one. The sky")
    # the end is held back, so that what a name is known by cannot follow it
    assert len(other.text) - len(read[1]) >= 160
    whole = speaking.read_so_far(campaign, [speaking.AnswerUnderWay(text="Short.", by=BY), other])
    assert whole is not None
    assert whole[0] == "Short."


def test_nothing_is_read_while_the_two_may_still_be_the_same(campaign):
    start = "One sentence. " * 40
    same = [speaking.AnswerUnderWay(text=start), speaking.AnswerUnderWay(text=start + "More. ")]
    assert speaking.read_so_far(campaign, same) is None
    different = [
        speaking.AnswerUnderWay(text=start + "Other."),
        speaking.AnswerUnderWay(text=start + "More. "),
    ]
    assert speaking.read_so_far(campaign, different) is not None


def test_the_thread_is_blind_too(page, annotator, policy):
    policy.answers = ["I am ChatGPT, made by OpenAI.", "Blue."]
    page.say("Who are you?")
    judged(page, annotator, "I am ChatGPT, made by OpenAI.")
    shown = page.next()["conversation"]["messages"][1]["text"]
    assert "ChatGPT" not in shown
    policy.answers = ["No.", "Yes."]
    page.say("Are you sure?")
    assert policy.asked[1]["messages"][1]["content"] == "I am ChatGPT, made by OpenAI."


def test_what_cannot_be_kept_is_replaced():
    heard = speaking.AnswerUnderWay()
    heard.take(Spoken(0, "a\x00b\ud83d"))
    assert heard.text == "a\ufffdb\ufffd"


# ---------------------------------------------------------------- what such a campaign is


@pytest.mark.parametrize(
    "setting", [{"gate_share": 0.2}, {"answers": 3}, {"turns": 0}, {"turns": 21}]
)
def test_a_conversation_compares_two_answers_and_draws_no_gate_pairs(setting):
    with pytest.raises(ValidationError):
        a_campaign(**{"turns": 2, **setting})


def test_the_database_holds_it_to_that(campaign):
    with pytest.raises(IntegrityError), transaction.atomic():
        Campaign.objects.filter(pk=campaign.pk).update(gate_share=0.5)


def test_pairs_of_a_gate_and_of_the_loop_go_past_it(campaign):
    with pytest.raises(AnnotationError, match="no campaign that takes pairs"):
        facade.comparisons_create(
            line_id=campaign.line, purpose="training", pairs=[], round_id=uuid.uuid4()
        )
    with pytest.raises(AnnotationError, match="write to the policy themselves"):
        pairs_create(campaign=campaign, purpose="gate", pairs=[], round_id=uuid.uuid4())
