"""The page of hidden names: counted over the newest pairs, listed, tried, and in force for raters."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from annotation.accounts.services import rater_for
from annotation.comparisons.blindness import HiddenNames, hidden_names
from annotation.comparisons.selectors import comparison_for
from annotation.comparisons.services import assignment_skip, pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from tests.annotation.factories import a_campaign, lease
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=74)
TEXTS = (
    ("I am ChatGPT, made by OpenAI.", "It is 4."),
    ("I am Claude.", "I am Claude. Four."),
    ("Ask the Wizzo desk.", "Five."),
)


@pytest.fixture
def campaign():
    made = a_campaign(line_id=LINE)
    asked = [
        NewPrompt(messages=({"role": "user", "content": f"{n}?"},), split="train") for n in range(3)
    ]
    prompts = prompts_ensure(line_id=LINE, prompts=asked)
    pairs = [
        NewPair(p.pk, (NewCompletion(a, uuid.uuid4()), NewCompletion(b, uuid.uuid4())))
        for p, (a, b) in zip(prompts, TEXTS, strict=True)
    ]
    pairs_create(campaign=made, purpose="training", pairs=pairs)
    return made


@pytest.fixture
def lea():
    client = Client()
    client.force_login(person_create("lea", "lead", line=LINE))
    return client


def test_hidden_names_are_counted_by_answer_by_name_and_by_pair(campaign):
    assert hidden_names(campaign=campaign) == HiddenNames(
        pairs=3, answers=6, naming=3, spans=4, one_sided=1
    )
    campaign.hidden_names = "wizzo"
    assert hidden_names(campaign=campaign).spans == 5
    assert hidden_names(campaign=a_campaign()) == HiddenNames(0, 0, 0, 0, 0)


def test_a_lead_tries_a_name_keeps_it_and_raters_do_not_see_it(campaign, lea):
    address = f"/campaigns/{campaign.pk}/names/"
    assert lea.get(address).context["found"].naming == 3
    tried = lea.post(address, {"names": "Wizzo", "sample": "I am Wizzo by OpenAI"})
    assert tried.context["seen"] == "I am [name 1 hidden] by [name 2 hidden]"
    campaign.refresh_from_db()
    assert campaign.hidden_names == ""
    lea.post(address, {"names": "Wizzo\nWizzo\n\n", "keep": "1"})
    campaign.refresh_from_db()
    assert campaign.hidden_names == "Wizzo"
    assert AuditEvent.objects.get(verb="changed hidden names").detail == {
        "hidden_names": ["", "Wizzo"]
    }
    ann = rater_for(user=person_create("ann", "annotator", line=LINE))
    seen = ""
    for _ in TEXTS:
        view = comparison_for(rater=ann, assignment_id=lease(ann, campaign).assignment_id)
        seen += view.left + view.right
        assignment_skip(rater=ann, assignment_id=view.assignment_id, reason="technical")
    assert "Wizzo" not in seen
    assert "ChatGPT" not in seen


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("x" * 81, "at most 80 characters"),
        ("\n".join(f"name{n}" for n in range(201)), "at most 200 names"),
    ],
)
def test_a_list_that_is_too_long_is_refused_beside_its_field(campaign, lea, names, says):
    answer = lea.post(f"/campaigns/{campaign.pk}/names/", {"names": names, "keep": "1"})
    assert says in answer.content.decode()
    campaign.refresh_from_db()
    assert campaign.hidden_names == ""
