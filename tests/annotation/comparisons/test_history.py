"""The page of one's own answers: found, opened, and closed to everybody else."""

from __future__ import annotations

import uuid
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from annotation.accounts.services import rater_for
from annotation.comparisons.models import Assignment
from annotation.comparisons.services import (
    assignment_park,
    assignment_skip,
    gate_queue_close,
    pairs_create,
    prompts_ensure,
)
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from tests.annotation.factories import a_campaign, label_next, lease, some_pairs, submit
from tests.support.people import person_create

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=73)


class Person:
    def __init__(self, name: str) -> None:
        self.user = person_create(name, "annotator", line=LINE)
        self.rater = rater_for(user=self.user)
        self.client = Client()
        self.client.force_login(self.user)

    def page(self, **query: str):
        answer = self.client.get(f"/answers/?{urlencode(query)}")
        assert answer.status_code == 200
        return answer

    def said(self, **query: str) -> list[str]:
        return [row.says for row in self.page(**query).context["rows"]]


@pytest.fixture
def campaign():
    made = a_campaign(line_id=LINE, name="Help desk")
    some_pairs(made, 8)
    return made


@pytest.fixture
def ann():
    return Person("ann")


@pytest.fixture
def worked(ann, campaign):
    """Answers A, tie, B and both bad, a skip and a parked draft, the last first on the page."""
    for value, both_bad in ((1, False), (4, False), (6, False), (4, True)):
        label_next(ann.rater, campaign, value, both_bad=both_bad, rationale=f"For value {value}.")
    held = lease(ann.rater, campaign).assignment_id
    assignment_skip(rater=ann.rater, assignment_id=held, reason="not_understood")
    held = lease(ann.rater, campaign).assignment_id
    assignment_park(rater=ann.rater, assignment_id=held, draft={"rationale": "so far"})
    return held


@pytest.mark.usefixtures("worked")
def test_everything_one_did_is_listed_and_found_by_kind(ann):
    everything = ["Parked", "Skipped: The question is unclear", "Both are bad", "B is better",
                  "They are equal", "A is much better"]  # fmt: skip
    assert ann.said() == everything
    for kind, expected in (
        ("answered", everything[2:]), ("a", everything[-1:]), ("b", everything[3:4]),
        ("tie", everything[4:5]), ("both_bad", everything[2:3]), ("skipped", everything[1:2]),
        ("draft", everything[:1]),
    ):  # fmt: skip
        found = ann.said(kind=kind)
        if kind == "tie":  # both bad is a tie, and marked
            found.remove("Both are bad")
        assert found == expected, kind


@pytest.mark.usefixtures("worked")
def test_it_is_found_by_text_date_and_campaign(ann, campaign):
    assert ann.said(text="for VALUE 6") == ["B is better"]
    assert ann.said(text="so far") == ["Parked"]
    prompt = str(Assignment.objects.get(skip_reason="not_understood").comparison.prompt)
    assert ann.said(text=prompt) == ["Skipped: The question is unclear"]
    assert len(ann.said(text="first answer")) == 6
    assert ann.said(text="nowhere") == []
    today, tomorrow = timezone.localdate(), timezone.localdate() + timedelta(days=1)
    assert len(ann.said(since=str(today), until=str(today))) == 6
    assert ann.said(since=str(tomorrow)) == []
    assert len(ann.said(campaign=str(campaign.pk))) == 6


@pytest.mark.usefixtures("worked")
def test_nobody_else_s_answers_are_there_and_a_role_that_went_takes_the_page(ann):
    assert Person("bob").said() == []
    ann.user.memberships.all().delete()
    assert ann.client.get("/answers/").status_code == 403


def test_what_is_not_open_any_more_says_why(ann):
    campaign, round_id = a_campaign(line_id=LINE), uuid.uuid4()
    some_pairs(campaign, 2, purpose="gate", round_id=round_id)
    label_next(ann.rater, campaign)
    (row,) = ann.page().context["rows"]
    assert (row.act, row.fixed) == ("Edit", "")
    gate_queue_close(round_id=round_id)
    (row,) = ann.page().context["rows"]
    assert (row.act, row.fixed) == (
        "",
        "A decision rests on this answer by now; it can no longer be changed.",
    )


def test_a_search_does_not_tell_who_wrote_an_answer(ann):
    campaign = a_campaign(line_id=LINE)
    (prompt,) = prompts_ensure(
        line_id=LINE,
        prompts=[NewPrompt(messages=({"role": "user", "content": "Who?"},), split="train")],
    )
    first = NewCompletion("I am ChatGPT, made by OpenAI. Four.", uuid.uuid4())
    second = NewCompletion("It is four.", uuid.uuid4())
    pairs_create(
        campaign=campaign,
        purpose="training",
        pairs=[NewPair(prompt.pk, (first, second))],
    )
    submit(ann.rater, lease(ann.rater, campaign).assignment_id)
    assert ann.said(text="Four") == ["A is better"]
    for probe in ("ChatGPT", "hatGP", "OpenAI", "I am ChatGPT"):
        assert ann.said(text=probe) == []


def test_a_long_history_is_paged_by_key(ann, campaign):
    some_pairs(campaign, 22)
    for _ in range(30):
        label_next(ann.rater, campaign)
    first = ann.page()
    assert len(first.context["rows"]) == 25
    second = ann.client.get("/answers/" + first.context["page"].older_query)
    assert len(second.context["rows"]) == 5
    seen = [row.url for row in (*first.context["rows"], *second.context["rows"])]
    assert len(set(seen)) == 30


@pytest.mark.parametrize(
    "query",
    ["text=%00", "kind=x", "campaign=1", "since=x", "until=9999-99-99", "text=" + "x" * 300,
     "text=%22%5C", "text=%25", "since=0001-01-01", "since=9999-12-31&until=9999-12-31"],
)  # fmt: skip
@pytest.mark.usefixtures("worked")
def test_no_search_breaks_the_page(ann, query):
    assert ann.client.get(f"/answers/?{query}").status_code == 200
    assert ann.client.get(f"/answers/?{query}&older=xyz").status_code in (200, 404)
