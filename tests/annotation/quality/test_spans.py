"""What was marked, on the quality pages: counted by label, side and model version, and the answers behind it."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from annotation.accounts.erasure import person_erase
from annotation.comparisons.models import Judgment
from annotation.comparisons.records import Answer, Span
from annotation.comparisons.services import draft_save, judgment_submit
from annotation.quality.forms import AnswerForm
from annotation.quality.lists import answers_listed
from annotation.quality.spans import Marked, spans_page
from annotation.statistics.estimates import wilson_bounds
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    rank_next,
    some_pairs,
    some_rankings,
)
from tests.support.people import person_create
from web.access import LEAD

pytestmark = pytest.mark.django_db
OLD, NEW = uuid.UUID(int=7 << 96), uuid.UUID(int=8 << 96)
LABELS = [{"name": "Wrong fact", "help": "Not so"}, {"name": "Well put"}]


@pytest.fixture
def campaign():
    made = a_campaign(span_labels=LABELS)
    some_pairs(made, 4, versions=(OLD, NEW))
    return made


@pytest.fixture
def lead(client):
    client.force_login(person_create("lea", LEAD))
    return client


def mark_next(rater, campaign, *marks: tuple[int, str]) -> Judgment:
    """Answer the next pair, marking the first characters of the texts in these slots."""
    held = lease(rater, campaign)
    order = rater.assignments.get(pk=held.assignment_id).shown_order
    sides = dict(zip(order, ("left", "right"), strict=True))
    spans = tuple(Span(sides[slot], n, n + 3, label) for n, (slot, label) in enumerate(marks))
    outcome = judgment_submit(
        rater=rater,
        assignment_id=held.assignment_id,
        answer=Answer({"overall": 2}, spans=spans),
        idempotency_key=str(uuid.uuid4()),
    )
    return Judgment.objects.get(pk=outcome.judgment_id)


def test_labels_are_counted_by_side_and_by_model_version(campaign):
    rater = an_annotator(campaign)
    judgments = [
        mark_next(rater, campaign, (1, "wrong-fact"), (1, "wrong-fact"), (2, "well-put")),
        mark_next(rater, campaign, (1, "wrong-fact")),
        mark_next(rater, campaign),
    ]
    page = spans_page(campaign=campaign)
    assert page is not None
    wrong, well = page.labels
    assert (wrong.key, wrong.answers, wrong.marks) == ("wrong-fact", 2, 3)
    assert (well.key, well.answers, well.marks) == ("well-put", 1, 1)
    first = [j.assignment.shown_order.index(1) for j in judgments]
    assert wrong.shown[first[0]] == (3 if first[0] == first[1] else 2)
    assert sum(wrong.shown) == 3
    rates = {(row.label, row.version): row.rate for row in page.versions if row.rate}
    low, high = wilson_bounds(2 / 3, 3)
    rate = rates["wrong-fact", OLD]
    assert (rate.value, rate.low, rate.high, rate.n) == (2 / 3, low, high, 3)
    assert rates["wrong-fact", NEW].value == 0
    assert rates["well-put", NEW].value == 1 / 3


def test_a_figure_leads_to_its_answers(campaign, lead):
    rater = an_annotator(campaign)
    on_old = mark_next(rater, campaign, (1, "wrong-fact"))
    on_new = mark_next(rater, campaign, (2, "wrong-fact"), (1, "well-put"))
    mark_next(rater, campaign)

    def listed(**wanted):
        rows = answers_listed(campaign=campaign, kind="marked", rater=None, span=Marked(**wanted))
        return set(rows)

    assert listed() == {on_old, on_new}
    assert listed(label="well-put") == {on_new}
    assert listed(label="wrong-fact", version=OLD) == {on_old}
    assert listed(version=OLD) == {on_old, on_new}
    assert listed(label="wrong-fact", version=uuid.uuid4()) == set()

    quality = lead.get(reverse("quality:campaign", args=[campaign.pk])).content.decode()
    address = reverse("quality:answers", args=[campaign.pk])
    assert f"{address}?kind=marked&amp;label=well-put" in quality
    assert f"?kind=marked&amp;label=wrong-fact&amp;version={OLD}" in quality
    shown = lead.get(address, {"kind": "marked", "label": "wrong-fact", "version": str(OLD)})
    page = shown.content.decode()
    letter = "AB"[on_old.assignment.shown_order.index(1)]
    assert "Answers with a marked part: Wrong fact, model 00000007" in page
    assert f'<li>{letter}, Wrong fact: <q dir="auto">fir</q></li>' in page
    pair = reverse("quality:pair", args=[campaign.pk, on_old.assignment.comparison_id])
    assert '<li>A, Wrong fact: <q dir="auto">fir</q></li>' in lead.get(pair).content.decode()


@pytest.mark.parametrize("query", [{"version": "x"}, {"label": "A b"}, {"label": "a\x00"}])
def test_a_damaged_address_of_a_list_is_not_found(campaign, lead, query):
    address = reverse("quality:answers", args=[campaign.pk])
    assert lead.get(address, {"kind": "marked", **query}).status_code == 404


def test_marks_on_a_gate_that_has_not_decided_are_in_no_figure():
    campaign = a_campaign(span_labels=LABELS, gate_share=1.0)
    some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4(), versions=(OLD, NEW))
    mark_next(an_annotator(campaign), campaign, (1, "wrong-fact"))
    page = spans_page(campaign=campaign)
    assert page is not None
    assert (page.read, page.versions) == (0, ())
    assert [row.marks for row in page.labels] == [0, 0]


def test_a_campaign_without_labels_and_marks_shows_none(lead):
    campaign = a_campaign()
    some_pairs(campaign, 1)
    label_next(an_annotator(campaign), campaign)
    assert spans_page(campaign=campaign) is None
    page = lead.get(reverse("quality:campaign", args=[campaign.pk])).content.decode()
    assert "Marked parts" not in page


def test_marks_of_ranked_answers_are_counted_on_their_page(lead):
    campaign = a_campaign(answers=3, span_labels=LABELS)
    some_rankings(campaign, 1)
    rank_next(an_annotator(campaign), campaign, spans=(Span("3", 0, 3, "well-put"),))
    page = spans_page(campaign=campaign)
    assert page is not None
    assert page.labels[1].shown == (0, 0, 1)
    shown = lead.get(reverse("quality:campaign", args=[campaign.pk])).content.decode()
    assert "In C as shown" in shown


def test_an_answer_given_again_without_a_script_keeps_its_marks():
    before = Answer({"overall": 2}, spans=(Span("left", 0, 3, "well-put"),))
    form = AnswerForm({"overall": "6"}, criteria=(), before=before)
    assert form.is_valid()
    assert form.answer().spans == before.spans


def test_an_erased_person_leaves_marks_under_the_pseudonym_and_no_draft(campaign):
    """A mark holds places and a label, and no word of the person."""
    rater = an_annotator(campaign)
    judgment = mark_next(rater, campaign, (1, "wrong-fact"))
    draft = {"spans": [{"side": "left", "start": 0, "end": 3, "label": "well-put"}]}
    drafted = lease(rater, campaign).assignment_id
    draft_save(rater=rater, assignment_id=drafted, draft=draft)
    assert rater.user is not None
    erased = person_erase(person=rater.user, actor=person_create("max", LEAD), reasons="remove")
    assert (erased.judgments, erased.drafts) == (1, 1)
    judgment.refresh_from_db()
    assert judgment.spans[0]["label"] == "wrong-fact"
    assert rater.assignments.get(pk=drafted).draft == {}
