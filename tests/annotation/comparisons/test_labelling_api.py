"""Labelling by token: the page's queue, its rules and its rows, for one rater a token."""

from __future__ import annotations

import uuid

import pytest

from annotation.accounts.models import Rater
from annotation.accounts.services import membership_grant
from annotation.campaigns.services import guidelines_publish
from annotation.comparisons.models import Assignment, Completion, Judgment
from annotation.comparisons.services import gold_item_of_pair
from tests.annotation.factories import a_campaign, some_pairs
from tests.support.programs import Program, a_program, refused

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=91)


@pytest.fixture
def campaign():
    made = a_campaign(line_id=LINE)
    some_pairs(made, 3)
    return made


@pytest.fixture
def ann():
    return a_program("annotator", "label", line=LINE, name="ann")


def _next(program: Program, campaign):
    return program.post(f"labelling/{campaign.pk}/next").json()["pair"]


def _answer(program: Program, campaign, pair, key: str = "", **answer):
    body = {"values": {"overall": 2}, **answer}
    return program.post(f"labelling/{campaign.pk}/pairs/{pair['id']}/answer", body, key=key)


def test_a_rater_labels_all_pairs_and_hears_why_there_are_no_more(ann, campaign):
    assert [row["id"] for row in ann.items("labelling/campaigns")] == [str(campaign.pk)]
    for n in range(3):
        pair = _next(ann, campaign)
        assert _next(ann, campaign)["id"] == pair["id"]  # asking twice gives the same pair
        outcome = _answer(ann, campaign, pair, seconds=3.0, rationale=f"Reason {n}")
        assert outcome.json() == {
            **outcome.json(),
            "revision": 1,
            "surplus": False,
            "repeated": False,
            "told": "",
        }
    ended = ann.post(f"labelling/{campaign.pk}/next").json()
    assert ended["pair"] is None
    assert ended["says"]
    rater = Rater.objects.get(user=ann.user)
    assert Judgment.objects.filter(rater=rater, active=True, seconds=3.0).count() == 3


def test_a_pair_shows_its_texts_as_the_rater_may_see_them_and_no_model(ann, campaign):
    Completion.objects.update(text="I am gpt-4o-mini. Two.")
    pair = _next(ann, campaign)
    assert set(pair) == {
        "id", "messages", "left", "right", "left_ended", "right_ended", "held_until",
    }  # fmt: skip
    assert "gpt-4o" not in pair["left"] + pair["right"]
    assert pair["left"].endswith("Two.")


def test_values_are_in_the_order_shown(ann, campaign):
    pair = _next(ann, campaign)
    assert _answer(ann, campaign, pair, values={"overall": 1}).status_code == 200
    assignment = Assignment.objects.get(pk=pair["id"])
    stored = Judgment.objects.get().values.get().value
    assert stored == (1 if assignment.shown_order[0] == 1 else 7)


def test_an_answer_sent_again_under_its_key_is_one_answer(ann, campaign):
    pair = _next(ann, campaign)
    first, again = (_answer(ann, campaign, pair, key="k").json() for _ in range(2))
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert first["judgment"] == again["judgment"]
    assert Judgment.objects.count() == 1
    other = _next(ann, campaign)
    assert "another pair" in refused(_answer(ann, campaign, other, key="k"), 422)["detail"]
    assert refused(_answer(ann, campaign, pair), 409)


def test_revising_supersedes(ann, campaign):
    pair = _next(ann, campaign)
    address = f"labelling/{campaign.pk}/pairs/{pair['id']}/revise"
    assert refused(ann.post(address, {"values": {"overall": 3}}), 422)
    _answer(ann, campaign, pair)
    assert ann.post(address, {"values": {"overall": 6}}).json()["revision"] == 2
    assert Judgment.objects.filter(active=True).count() == 1


def test_ticked_reasons_are_kept_of_an_answer_and_of_the_one_in_its_place(ann, campaign):
    pair = _next(ann, campaign)
    assert _answer(ann, campaign, pair, reasons=["brief", "clear"]).status_code == 200
    assert Judgment.objects.get().reasons == ["brief", "clear"]
    address = f"labelling/{campaign.pk}/pairs/{pair['id']}/revise"
    again = {"values": {"overall": 6}, "reasons": ["safe"]}
    assert ann.post(address, again).json()["revision"] == 2
    assert Judgment.objects.get(active=True).reasons == ["safe"]
    wrong = ann.post(address, {**again, "reasons": ["fast"]})
    assert "'fast'" in refused(wrong, 422)["detail"]


def test_a_skipped_pair_does_not_come_back(ann, campaign):
    pair = _next(ann, campaign)
    address = f"labelling/{campaign.pk}/pairs/{pair['id']}/skip"
    assert refused(ann.post(address, {"reason": "bored"}), 422)["errors"][0]["field"] == "reason"
    assert ann.post(address, {"reason": "not_understood"}).json() == {"done": True}
    met = set()
    while (ahead := _next(ann, campaign)) is not None:
        met.add(ahead["id"])
        _answer(ann, campaign, ahead)
    assert len(met) == 2
    assert pair["id"] not in met


def test_guidelines_are_read_before_the_first_pair_and_after_a_change(ann, campaign):
    address = f"labelling/{campaign.pk}/guidelines"
    assert refused(ann.get(address), 404)
    guidelines_publish(campaign=campaign, text="Be kind.")
    problem = refused(ann.post(f"labelling/{campaign.pk}/next"), 409)
    assert "acknowledge version 1" in problem["detail"]
    assert ann.get(address).json() == {
        "version": 1, "text": "Be kind.", "change_note": "", "acknowledged": False,
    }  # fmt: skip
    assert refused(ann.post(address, {"version": 2}), 422)["errors"][0]["field"] == "version"
    assert ann.post(address, {"version": 1}).json() == {"done": True}
    assert ann.get(address).json()["acknowledged"] is True
    assert _next(ann, campaign)["id"]


def test_what_is_another_s_does_not_exist(ann, campaign):
    pair = _next(ann, campaign)
    bob = a_program("annotator", "label", line=LINE, name="bob")
    assert refused(_answer(bob, campaign, pair), 404)
    stranger = a_program("annotator", "label", line=uuid.uuid4(), name="cy")
    assert refused(stranger.post(f"labelling/{campaign.pk}/next"), 403)
    assert stranger.items("labelling/campaigns") == []
    reader = a_program("engineer", "read", line=LINE)
    assert refused(reader.post(f"labelling/{campaign.pk}/next"), 403)


def test_no_pair_of_another_campaign_is_reached_by_the_address_of_one_s_own(ann, campaign):
    theirs = a_campaign(line_id=uuid.UUID(int=92))
    some_pairs(theirs, 1)
    membership = membership_grant(user=ann.user, role="annotator", line_id=theirs.line)
    pair = _next(ann, theirs)
    membership.delete()
    assert refused(_answer(ann, theirs, pair), 403)
    assert refused(_answer(ann, campaign, pair), 404)
    at = f"labelling/{campaign.pk}/pairs/{pair['id']}"
    assert refused(ann.post(f"{at}/revise", {"values": {"overall": 2}}), 404)
    assert refused(ann.post(f"{at}/skip", {"reason": "technical"}), 404)
    assert not Judgment.objects.exists()
    assert Assignment.objects.get().state == "leased"


def test_who_misses_a_known_answer_is_told_where_the_campaign_tells_people(ann):
    campaign = a_campaign(line_id=LINE, gold_share=1.0, gold_feedback=True)
    (known,) = some_pairs(campaign, 1)
    gold_item_of_pair(comparison=known, gold_value=1, explanation="The first is right.")
    pair = _next(ann, campaign)
    right = 1 if Assignment.objects.get(pk=pair["id"]).shown_order == [1, 2] else 7
    told = _answer(ann, campaign, pair, values={"overall": 8 - right}).json()["told"]
    assert told.endswith("The first is right.")


def test_a_paused_campaign_gives_out_nothing(ann):
    campaign = a_campaign(line_id=LINE, state="paused")
    assert "nothing to label" in refused(ann.post(f"labelling/{campaign.pk}/next"), 409)["detail"]


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({"values": {"overall": 8}}, "values.overall"),
        ({"values": {"overall": True}}, "values.overall"),
        ({"values": {"overall": 2.5}}, "values.overall"),
        ({"values": {"overall": "2"}}, "values.overall"),
        ({"values": [2]}, "values"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": "1e400"}, "seconds"),
        ({"flags": "unsafe"}, "flags"),
        ({"both_bad": "perhaps"}, "both_bad"),
    ],
)
def test_a_wrong_answer_names_its_field(ann, campaign, answer, field):
    problem = refused(_answer(ann, campaign, _next(ann, campaign), **answer), 422)
    assert problem["errors"][0]["field"] == field
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    "answer", [{"values": {}}, {"values": {"tone": 2, "overall": 2}}, {"flags": ["bad"]}]
)
def test_what_the_campaign_does_not_ask_is_refused_in_a_sentence(ann, campaign, answer):
    assert refused(_answer(ann, campaign, _next(ann, campaign), **answer), 422)["detail"]
    assert not Judgment.objects.exists()


def test_parts_are_marked_by_token_in_the_texts_as_given_out(ann):
    marking = a_campaign(line_id=LINE, span_labels=[{"name": "Wrong fact", "help": "Not so"}])
    some_pairs(marking, 1)
    opened = {row["id"]: row for row in ann.items("labelling/campaigns")}
    assert opened[str(marking.pk)]["span_labels"] == [
        {"key": "wrong-fact", "name": "Wrong fact", "help": "Not so"}
    ]
    pair = _next(ann, marking)
    start = pair["left"].index("answer")
    span = {"side": "left", "start": start, "end": start + 6, "label": "wrong-fact"}
    beyond = {**span, "end": 4000}
    refusal = refused(_answer(ann, marking, pair, spans=[span, beyond]), 422)
    assert "mark 2 is from" in refusal["detail"]
    assert _answer(ann, marking, pair, spans=[span]).status_code == 200
    judgment = Judgment.objects.get()
    slot = judgment.assignment.shown_order[0]
    reader = a_program("engineer", "read", line=LINE, name="eve")
    (row,) = reader.items(f"lines/{LINE}/judgments")
    assert row["spans"] == [{"label": "wrong-fact", "slot": slot, "start": start, "end": start + 6}]
