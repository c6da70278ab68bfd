"""The quality pages: what they show, and the answers behind each figure."""

from __future__ import annotations

import csv
import html
import io
import re
import uuid
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import reverse

from annotation.accounts.models import User
from annotation.comparisons.records import Span
from annotation.comparisons.services import assignment_skip, gate_queue_close, gold_item_create
from annotation.quality import kept, pages
from annotation.quality.lists import KINDS, answers_listed
from annotation.quality.services import exclusion_drawn, exclusion_make
from annotation.quality.tables import cell_harmless
from tests.annotation.factories import a_campaign, an_annotator, lease, some_pairs
from tests.annotation.quality.world import again, say
from tests.support.people import person_create
from web.access import LEAD
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(client):
    client.force_login(person_create("lea", LEAD))
    return client


def words(answer):
    assert answer.status_code == 200
    text = html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode()))
    return " ".join(text.split())


def page(client, name, campaign, *place, **query):
    return client.get(reverse(f"quality:{name}", args=[campaign.pk, *place]), query)


def test_the_page_names_people_and_their_pseudonyms(lead):
    campaign = a_campaign()
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    for pair in some_pairs(campaign, 3):
        say(ann, pair, 1, seconds=5.0)
        say(ben, pair, 6, seconds=7.0)
    said = words(page(lead, "campaign", campaign))
    assert "The figures rest on all 6 answers in force." in said
    for rater in (ann, ben):
        assert f"{rater.user} {rater.pseudonym} 3 0%" in said
    assert "6 s median time of an answer" in said
    assert "Two people who both chose a side of a pair chose the same one 0% of the time." in said


def test_an_empty_campaign_says_why_it_is_empty(lead):
    said = words(page(lead, "campaign", a_campaign()))
    assert "Nobody has answered in this campaign yet" in said


def test_the_campaign_leads_to_its_quality(lead):
    campaign = a_campaign()
    answer = lead.get(reverse("campaigns:detail", args=[campaign.pk]))
    assert reverse("quality:campaign", args=[campaign.pk]) in answer.content.decode()


def test_a_person_has_a_page_in_the_campaigns_where_they_work(lead):
    campaign, other = a_campaign(), a_campaign()
    ann = an_annotator(campaign)
    say(ann, some_pairs(campaign, 1)[0], 1)
    said = words(page(lead, "person", campaign, ann.pk))
    assert f"the data files call this person {ann.pseudonym}" in said
    assert page(lead, "person", other, ann.pk).status_code == 404
    assert page(lead, "person", campaign, uuid.uuid4()).status_code == 404


def test_somebody_who_has_only_skipped_has_no_page_yet(lead):
    campaign = a_campaign()
    some_pairs(campaign, 1)
    ann = an_annotator(campaign)
    assignment_skip(rater=ann, assignment_id=lease(ann, campaign).assignment_id, reason="technical")
    assert page(lead, "person", campaign, ann.pk).status_code == 404
    said = words(page(lead, "skips", campaign, reason="technical", person=ann.pk))
    assert "The page shows it wrongly" in said
    assert "No such pair was skipped" in words(page(lead, "skips", campaign, reason="conflict"))


def listed(campaign, kind, rater=None, flag=""):
    rows: Any = answers_listed(campaign=campaign, kind=kind, rater=rater, flag=flag)
    return sorted((str(row.rater), row.overall) for row in rows)


def test_every_list_holds_the_answers_behind_its_figure():
    campaign = a_campaign(span_labels=[{"name": "Wrong fact"}])
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    a, b = str(ann), str(ben)
    one, two, three = some_pairs(campaign, 3, split="train")
    say(ann, one, 1)  # left, the shorter text
    say(
        ben, one, 7, order=(2, 1), rationale="It answers.", flags=("unsafe:left",)
    )  # left, the longer
    marks = (Span("left", 0, 5, "wrong-fact"),)
    say(ann, two, 6, spans=marks)  # right, the longer
    say(ben, three, 4, both_bad=True)
    gold = gold_item_create(
        campaign=campaign, prompt=one.prompt, texts=("right", "wrong"), gold_value=2
    )
    say(ann, gold, 3)
    say(ben, gold, 5)
    say(ann, again(one, campaign), 2)
    say(ann, again(two, campaign), 3)
    expected = {
        "all": [(a, 1), (a, 2), (a, 3), (a, 3), (a, 6), (b, 4), (b, 5), (b, 7)],
        "asked": [(a, 1), (a, 6), (b, 4), (b, 7)],
        "shared": [(a, 1), (b, 7)],
        "differing": [(a, 1), (b, 7)],
        "gold": [(a, 3), (b, 5)],
        "gold_wrong": [(b, 5)],
        "repeats": [(a, 2), (a, 3)],
        "repeats_changed": [(a, 3)],
        "left": [(a, 1), (b, 7)],
        "right": [(a, 6)],
        "longer": [(a, 6), (b, 7)],
        "shorter": [(a, 1)],
        "ties": [(b, 4)],
        "both_bad": [(b, 4)],
        "flagged": [(b, 7)],
        "marked": [(a, 6)],
        "reasons": [(b, 7)],
    }
    assert expected.keys() == KINDS.keys()
    for kind, rows in expected.items():
        assert listed(campaign, kind) == sorted(rows), kind
    assert listed(campaign, "flagged", flag="refusal") == []
    assert listed(campaign, "flagged", flag="unsafe") == [(b, 7)]
    assert listed(campaign, "left", ann) == [(a, 1)]
    exclusion_make(
        exclusion=exclusion_drawn(campaign=campaign, rater=ben),
        reason="r",
        actor=person_create("lea", LEAD),
    )
    assert listed(campaign, "left") == [(a, 1)]
    assert listed(campaign, "differing") == []  # nobody who counts contradicts her
    assert listed(campaign, "left", ben) == [(b, 7)]  # asked for by name


def test_answers_of_a_gate_that_has_not_decided_are_shown_to_nobody():
    campaign = a_campaign()
    ann, round_id = an_annotator(campaign), uuid.uuid4()
    (pair,) = some_pairs(campaign, 1, purpose="gate", round_id=round_id)
    say(ann, pair, 1)
    assert listed(campaign, "asked") == listed(campaign, "asked", ann) == []
    gate_queue_close(round_id=round_id)
    assert listed(campaign, "asked") == [(str(ann), 1)]


def test_an_answer_is_shown_as_it_was_given(lead):
    campaign = a_campaign()
    ann = an_annotator(campaign)
    (pair,) = some_pairs(campaign, 1)
    say(
        ann,
        pair,
        7,
        order=(2, 1),
        rationale="<b>It answers.</b>",
        flags=("unsafe:left",),
        seconds=4.0,
    )
    said = words(page(lead, "answers", campaign, kind="reasons"))
    assert "A is much better" in said
    assert "<b>It answers.</b>" in said
    assert re.search(r"A second answer \d+ B first answer \d+", said)
    assert "4 s · Unsafe" in said


def test_lists_page_by_key(lead):
    campaign = a_campaign()
    ann = an_annotator(campaign)
    for pair in some_pairs(campaign, 30):
        say(ann, pair, 1)
    first = page(lead, "answers", campaign, kind="left", person=ann.pk)
    assert len(first.context["rows"]) == 25
    older = lead.get(first.request["PATH_INFO"] + first.context["page"].older_query)
    seen = {row.judgment_id for row in (*first.context["rows"], *older.context["rows"])}
    assert len(seen) == 30
    assert older.context["rater"].pk == ann.pk


def test_damaged_addresses_are_not_found(lead):
    campaign = a_campaign()
    for query in (
        {"kind": "none"},
        {"flag": "none"},
        {"person": "x"},
        {"person": str(uuid.uuid4())},
        {"person": "\x00"},
        {"older": "x"},
    ):
        assert page(lead, "answers", campaign, **query).status_code == 404, query
    assert page(lead, "skips", campaign, reason="\x00").status_code == 404


def test_the_cost_of_the_page_in_queries_does_not_grow(
    lead, django_assert_max_num_queries, monkeypatch
):
    campaign = a_campaign()
    raters = [an_annotator(campaign) for _ in range(6)]
    for pair in some_pairs(campaign, 6):
        for rater in raters:
            say(rater, pair, 1)
    with django_assert_max_num_queries(21):
        page(lead, "campaign", campaign)
    monkeypatch.setattr(kept, "SLOW", -1.0)  # everything counts as slow
    page(lead, "campaign", campaign)
    with django_assert_max_num_queries(16):  # as many for a million answers
        page(lead, "campaign", campaign)
    cache.clear()
    with django_assert_max_num_queries(18):
        page(lead, "answers", campaign)


def test_many_people_have_pages_and_a_search_and_the_figures_are_of_all(lead, monkeypatch):
    monkeypatch.setattr(pages, "PEOPLE_SHOWN", 2)
    campaign = a_campaign(overlap=5)
    raters = [an_annotator(campaign) for _ in range(5)]
    for count, pair in enumerate(some_pairs(campaign, 5), 1):
        for rater in raters[:count]:
            say(rater, pair, 1)
    place, query, seen = reverse("quality:campaign", args=[campaign.pk]), "?", []
    while query:
        shown = lead.get(place + query).context["page"]
        assert (len(shown.measures.people), shown.measures.labels) == (5, 15)
        seen += [row.rater_id for row in shown.people]
        query = shown.older_query
    assert seen == [rater.pk for rater in raters]  # the most labels first
    found = lead.get(place, {"name": str(raters[3].user).upper()})
    assert [row.rater_id for row in found.context["page"].people] == [raters[3].pk]
    assert "Nobody fits this search." in words(lead.get(place, {"name": "zzz"}))
    assert page(lead, "campaign", campaign, older="x").status_code == 404


def test_the_table_of_people_as_csv(lead):
    campaign = a_campaign()
    ann = an_annotator(campaign)
    User.objects.filter(rater=ann).update(first_name="=HYPERLINK(1)")
    (pair,) = some_pairs(campaign, 1)
    say(ann, pair, 1)
    answer = page(lead, "people_csv", campaign)
    (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
    assert row["person"] == "'=HYPERLINK(1)"
    assert (row["labels"], row["left"], row["left_n"], row["gold"]) == ("1", "1.0", "1", "")


def test_habits_are_measured_once_a_page_and_for_the_csv_nothing_but_its_rows(lead, monkeypatch):
    campaign = a_campaign()
    (pair,) = some_pairs(campaign, 1)
    say(an_annotator(campaign), pair, 1)
    asked = []

    def noted(name):
        measure = getattr(pages, name)

        def measured(answers):
            asked.append(name)
            return measure(answers)

        return measured

    for name in ("habits", "agreement", "weeks"):
        monkeypatch.setattr(pages, name, noted(name))
    page(lead, "campaign", campaign)
    assert sorted(asked) == ["agreement", "habits", "weeks"]
    asked.clear()
    page(lead, "people_csv", campaign)
    assert asked == ["habits"]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(cell):
    assert cell_harmless(cell) == "'" + cell
    assert [cell_harmless(each) for each in ("a=1", -1, 0.5, None)] == ["a=1", -1, 0.5, None]


def test_earlier_pairs_are_decided_over_from_the_page(lead):
    campaign = a_campaign(overlap=1)
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    (pair,) = some_pairs(campaign, 1)
    say(ann, pair, 1)
    say(ben, pair, 7)
    said = words(page(lead, "campaign", campaign))
    assert "Every pair is asked of 1, whatever they say" in said
    settings = reverse("campaigns:edit", args=[campaign.pk])
    form = lead.get(settings).context["form"]
    shown = {name: value for name, value in form.initial.items() if value is not None}
    lead.post(settings, {**shown, "overlap_sure": "0.8", "overlap_most": "5"})
    campaign.refresh_from_db()
    assert campaign.overlap_sure == 0.8
    answer = lead.post(reverse("quality:ask_again", args=[campaign.pk]), follow=True)
    said = words(answer)
    assert "Pairs that are asked again: 1. Pairs about which nobody else is asked: 0." in said
    assert "until its better side is 80% sure, and of 5 at most" in said
    pair.refresh_from_db()
    assert (pair.wanted, pair.open) == (3, True)
    event = AuditEvent.objects.get(verb="asked again where votes differ")
    assert event.detail == {"asked_again": 1, "asked_no_more": 0}


@pytest.mark.parametrize("sure", ["0.5", "1", "x", "nan"])
def test_a_sureness_that_means_nothing_is_refused_at_its_field(lead, sure):
    campaign = a_campaign()
    settings = reverse("campaigns:edit", args=[campaign.pk])
    shown = lead.get(settings).context["form"].initial
    shown = {name: value for name, value in shown.items() if value is not None}
    answer = lead.post(settings, {**shown, "overlap_sure": sure})
    assert answer.context["form"].errors.keys() == {"overlap_sure"}
