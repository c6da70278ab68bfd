"""Gold items by token: written anew or made of a pair, told by how often they are answered right, retired."""

from __future__ import annotations

import uuid

import pytest

from annotation.comparisons.models import Comparison
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support.programs import a_program, refused
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)
SUM = {"prompt": "What is 1 + 1?", "first": "2", "second": "3", "value": 1}


@pytest.fixture
def eve():
    return a_program("engineer", "read", "campaigns", line=LINE)


@pytest.fixture
def campaign():
    return a_campaign(line_id=LINE, gold_share=1.0)


def test_a_gold_item_is_written_answered_counted_and_retired(eve, campaign):
    made = eve.post(f"campaigns/{campaign.pk}/gold", {**SUM, "explanation": "One more."}, key="k")
    assert made.status_code == 201
    item = Comparison.objects.get()
    assert (item.purpose, item.gold_value, item.gold_explanation) == ("gold", 1, "One more.")
    outcome = label_next(an_annotator(campaign), campaign, 1)
    shown_first = item.assignments.get(pk=outcome.assignment_id).shown_order[0] == 1
    (row,) = eve.items(f"campaigns/{campaign.pk}/gold")
    assert (row["answers"], row["right_answers"]) == (1, int(shown_first))
    ended = eve.post(f"campaigns/{campaign.pk}/gold/{item.pk}/retire").json()
    assert (ended["retired"], ended["answers"]) == (True, 1)
    assert eve.items(f"campaigns/{campaign.pk}/gold") == []
    assert len(eve.items(f"campaigns/{campaign.pk}/gold", retired="true")) == 1
    again = eve.post(f"campaigns/{campaign.pk}/gold/{item.pk}/retire")
    assert "retired already" in refused(again, 422)["detail"]
    verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == ["made gold item", "retired gold item"]


def test_a_pair_of_the_campaign_is_made_gold_and_another_s_is_not(eve, campaign):
    (pair,) = some_pairs(campaign, 1, split="train")
    body = {"pair": str(pair.pk), "value": 7, "tolerance": 1}
    made = eve.post(f"campaigns/{campaign.pk}/gold", body).json()
    item = Comparison.objects.get(pk=made["id"])
    assert (item.prompt, item.gold_value, item.gold_tolerance) == (pair.prompt, 7, 1)
    (foreign,) = some_pairs(a_campaign(line_id=OTHER_LINE), 1)
    wrong = eve.post(f"campaigns/{campaign.pk}/gold", {**body, "pair": str(foreign.pk)})
    assert refused(wrong, 404)
    assert "already" in refused(eve.post(f"campaigns/{campaign.pk}/gold", body), 422)["detail"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": 8}, "value"),
        ({"prompt": " "}, "prompt"),
        ({"pair": str(uuid.uuid4())}, "pair"),
        ({"second": "2"}, "The two answers are the same"),
        ({"second": ""}, "write both"),
        ({"tolerance": 3}, "tolerance"),
    ],
)
def test_a_wrong_item_is_refused_in_a_sentence(eve, campaign, change, says):
    problem = refused(eve.post(f"campaigns/{campaign.pk}/gold", {**SUM, **change}), 422)
    assert says in problem["detail"]
    assert not Comparison.objects.exists()
