"""The pages on which gold items are made, edited and retired."""

from __future__ import annotations

import json
import uuid

import pytest
from django.test import Client

from annotation.comparisons.gold import gold_items
from annotation.comparisons.models import Assignment, Comparison
from annotation.comparisons.services import gate_queue_close, gold_item_of_pair
from tests.annotation.factories import a_campaign, an_annotator, label_next, lease, some_pairs
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
WRITTEN = {
    "prompt": "What is 2 + 2?",
    "first": "It is 4.",
    "second": "It is 5.",
    "gold_value": "1",
    "tolerance": "1",
    "explanation": "Two and two are four.",
}


@pytest.fixture
def campaign():
    return a_campaign(gold_share=1.0, gold_feedback=True)


@pytest.fixture
def lead(campaign):
    client = Client()
    client.force_login(
        person_create("lea", "lead", line=campaign.line),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


def address(campaign, rest=""):
    return f"/campaigns/{campaign.pk}/{rest}"


def test_a_lead_writes_a_gold_item(lead, campaign):
    assert b"There are no gold items yet" in lead.get(address(campaign, "gold/")).content
    answer = lead.post(address(campaign, "gold/new/"), WRITTEN)
    assert answer.status_code == 302
    (item,) = gold_items(campaign=campaign)
    assert (item.gold_value, item.gold_tolerance) == (1, 1)
    assert item.gold_explanation == "Two and two are four."
    assert [s.completion.text for s in item.slots.all()] == ["It is 4.", "It is 5."]
    page = lead.get(answer.headers["Location"]).content.decode()
    assert "What is 2 + 2?" in page
    assert "not answered yet" in page
    assert AuditEvent.objects.filter(verb="made gold item", line=campaign.line).count() == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"second": "It is 4."}, "The two answers are the same"),
        ({"gold_value": "9"}, "Select a valid choice"),
        ({"tolerance": "7"}, "Select a valid choice"),
        ({"prompt": ""}, "This field is required"),
    ],
)
def test_what_cannot_be_gold_is_said_beside_the_form_and_nothing_is_lost(
    lead, campaign, change, says
):
    page = lead.post(address(campaign, "gold/new/"), WRITTEN | change).content.decode()
    assert says in page
    assert "Two and two are four." in page
    assert not gold_items(campaign=campaign).exists()


def test_a_pair_is_made_gold_from_its_page_and_the_item_edited_and_retired(lead, campaign):
    (pair,) = some_pairs(campaign, 1, split="train")
    place = f"pairs/{pair.pk}/"
    assert "Make this pair gold" in lead.get(address(campaign, place)).content.decode()
    known = {"gold_value": "2", "tolerance": "", "explanation": "The first is longer."}
    lead.post(address(campaign, place + "gold/"), known)
    (item,) = gold_items(campaign=campaign)
    assert item.gold_tolerance is None

    edit = address(campaign, f"pairs/{item.pk}/gold/")
    assert "The first is longer." in lead.get(edit).content.decode()
    lead.post(edit, known | {"gold_value": "6"})
    (second,) = gold_items(campaign=campaign)
    assert (second.gold_value, second.pk == item.pk) == (6, False)
    assert Comparison.objects.get(pk=item.pk).closed_at is not None

    retire = address(campaign, f"pairs/{second.pk}/retire/")
    assert lead.post(retire, follow=True).status_code == 200
    assert not gold_items(campaign=campaign).exists()
    assert gold_items(campaign=campaign, retired=True).count() == 2
    again = lead.post(retire, follow=True).content.decode()
    assert "retired already" in again
    verbs = ["made gold item", "edited gold item", "retired gold item"]
    assert list(AuditEvent.objects.order_by("at").values_list("verb", flat=True)) == verbs


def test_a_training_pair_cannot_be_retired_as_gold(lead, campaign):
    (pair,) = some_pairs(campaign, 1)
    page = lead.post(address(campaign, f"pairs/{pair.pk}/retire/"), follow=True).content.decode()
    assert "This pair is no gold item." in page
    assert Comparison.objects.get(pk=pair.pk).closed_at is None


def test_the_page_of_a_pair_says_who_said_what_and_whether_it_is_right(lead, campaign):
    (pair,) = some_pairs(campaign, 1, split="train")
    item = gold_item_of_pair(comparison=pair, gold_value=1)
    annotator = an_annotator(campaign)
    label_next(annotator, campaign, 4, rationale="They are alike.", flags=("refusal:left",))
    page = lead.get(address(campaign, f"pairs/{item.pk}/")).content.decode()
    for said in (str(annotator.user), "They are alike.", "wrong"):
        assert said in page
    order = Assignment.objects.get(comparison=item).shown_order
    assert f"{'A' if order == [1, 2] else 'B'}: Refusal" in page


def test_a_pair_of_an_undecided_gate_is_shown_to_nobody(lead, campaign):
    round_id = uuid.uuid4()
    (gate,) = some_pairs(campaign, 1, purpose="gate", round_id=round_id)
    assert lead.get(address(campaign, f"pairs/{gate.pk}/")).status_code == 404
    gate_queue_close(round_id=round_id)
    assert lead.get(address(campaign, f"pairs/{gate.pk}/")).status_code == 200


def test_the_compare_page_is_told_the_right_answer_after_a_wrong_one(campaign):
    (pair,) = some_pairs(campaign, 1, split="train")
    gold_item_of_pair(comparison=pair, gold_value=4, explanation="Both are wrong.")
    annotator = an_annotator(campaign)
    client = Client()
    assert annotator.user is not None
    client.force_login(annotator.user, backend="django.contrib.auth.backends.ModelBackend")
    held = lease(annotator, campaign)
    body = {"values": {"overall": 1}, "key": "k"}
    answer = client.post(
        f"/compare/{campaign.pk}/{held.assignment_id}/submit/",
        json.dumps(body),
        content_type="application/json",
    ).json()
    assert answer["told"].endswith("“They are equal”. Both are wrong.")


def test_the_list_goes_page_by_page(lead, campaign):
    for pair in some_pairs(campaign, 27, split="train"):
        gold_item_of_pair(comparison=pair, gold_value=1)
    page = lead.get(address(campaign, "gold/")).content.decode()
    assert page.count("data-confirm-yes") == 25
    older = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert (
        lead.get(address(campaign, "gold/") + older).content.decode().count("data-confirm-yes") == 2
    )
