"""The pages and the interface of a campaign that ranks."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import facade
from annotation.campaigns.figures import rater_rows
from annotation.campaigns.models import Campaign
from annotation.comparisons.gauges import campaign_gauges
from annotation.comparisons.models import Assignment, Comparison, Judgment
from annotation.comparisons.selectors import progress_for
from annotation.comparisons.services import thread_write
from annotation.contracts import RankingCount
from annotation.quality.progress import campaign_days
from annotation.quality.rankings import ranking_page
from annotation.quality.services import exclusion_drawn, exclusion_make
from annotation.quality.work import work_days
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    rank_next,
    some_pairs,
    some_rankings,
)
from tests.support.people import person_create
from tests.support.programs import a_program

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=87)


@pytest.fixture
def campaign():
    made = a_campaign(line_id=LINE, answers=3, overlap=2)
    some_rankings(made, 3)
    one, other = an_annotator(made), an_annotator(made)
    for n in range(3):
        rank_next(one, made, 1, 2, 3, flags=("unsafe:1",), rationale="It says so.")
        rank_next(other, made, *((1, 2, 3) if n else (2, 1, 3)))
    return made


@pytest.fixture
def lead(client):
    client.force_login(person_create("lou", "lead", "engineer", line=LINE))
    return client


def test_the_quality_page_tells_how_far_orders_agree(campaign, lead):
    page = ranking_page(campaign=campaign)
    assert (page.rankings, page.shared, len(page.people)) == (6, 3, 2)
    order, same = (row.estimate for row in page.agreement)
    same_twice = Judgment.objects.filter(levels=[1, 2, 3]).count()
    assert same_twice == 5
    assert order is not None
    assert same is not None
    assert same.value == pytest.approx(8 / 9)  # one pair of answers of nine the other way round
    assert order.value == pytest.approx((1 + 1 + 0.5) / 3)  # Spearman of 123 and 213 is 1/2
    shown = lead.get(reverse("quality:campaign", args=[campaign.pk])).content.decode()
    assert "Rank correlation, from Kendall’s W" in shown
    assert "no independent votes" in shown


def test_every_page_of_its_answers_shows_all_of_them(campaign, lead):
    pair = Comparison.objects.all()[0]
    for address in (
        reverse("campaigns:detail", args=[campaign.pk]),
        reverse("campaigns:edit", args=[campaign.pk]),
        reverse("quality:answers", args=[campaign.pk]),
        reverse("quality:pair", args=[campaign.pk, pair.pk]),
        reverse("quality:progress", args=[campaign.pk]),
        reverse("quality:people_csv", args=[campaign.pk]),
        reverse("quality:disagreements", args=[campaign.pk]),
        reverse("quality:exclusions", args=[campaign.pk]),
        reverse("quality:gold_list", args=[campaign.pk]),
    ):
        assert lead.get(address).status_code == 200, address
    listed = lead.get(reverse("quality:answers", args=[campaign.pk])).content.decode()
    assert listed.count("third answer") == 6
    assert f"<title>All answers: {campaign.name} ·" in listed
    skipped = lead.get(reverse("quality:skips", args=[campaign.pk])).content.decode()
    assert f"<title>Skipped pairs: {campaign.name} ·" in skipped
    assert (
        lead.get(reverse("quality:answers", args=[campaign.pk]) + "?kind=left").status_code == 404
    )
    seen = lead.get(reverse("quality:pair", args=[campaign.pk, pair.pk])).content.decode()
    assert "A, B, C" in seen
    assert "Make this pair gold" not in seen
    settings = lead.get(reverse("campaigns:edit", args=[campaign.pk])).content.decode()
    assert 'name="gate_share"' not in settings


def test_the_home_page_of_an_annotator_says_that_answers_wait_to_be_ranked(campaign, client):
    client.force_login(person_create("ann", "annotator", line=LINE))
    some_rankings(campaign, 1)
    shown = client.get("/").content.decode()
    assert "Prompts with 3 answers each wait to be ranked" in shown
    assert "Start ranking" in shown


def test_a_question_tells_which_letter_is_which(campaign, lead):
    assignment = Assignment.objects.all()[0]
    thread_write(assignment=assignment, text="Which one?", by_rater=True)
    place = reverse("quality:question", args=[campaign.pk, assignment.pk])
    assert "Their letters and yours: A → " in lead.get(place).content.decode()


def test_a_lead_makes_a_campaign_that_ranks(lead):
    form = {
        "name": "Orders",
        "line": str(LINE),
        "guidelines": "Be kind.",
        "daily_goal": 5,
        "overlap": 1,
    }
    some_pairs(a_campaign(line_id=LINE), 1)
    made = lead.post(reverse("campaigns:new"), {**form, "answers": "5"})
    assert made.status_code == 302
    campaign = Campaign.objects.get(name="Orders")
    assert (campaign.answers, campaign.gate_share, campaign.repeat_share) == (5, 0, 0)
    refused = lead.post(reverse("campaigns:new"), {**form, "answers": "5", "criteria": "Honest"})
    assert "leave the other criteria out" in refused.content.decode()
    lead.post(reverse("campaigns:new"), {**form, "name": "Pairs"})
    assert Campaign.objects.get(name="Pairs").answers == 2


def test_a_program_makes_one_labels_in_it_and_reads_what_was_said(lead):
    boss = a_program("lead", "read", "campaigns", line=LINE, name="boss")
    sent = {"line": str(LINE), "name": "Orders", "answers": 3}
    made = boss.post("campaigns", sent).json()
    assert (made["answers"], made["gate_share"]) == (3, 0)
    assert boss.post("campaigns", {**sent, "name": "Gate", "gate_share": 0.2}).status_code in (
        409,
        422,
    )
    campaign = Campaign.objects.get(pk=made["id"])
    boss.post(f"campaigns/{campaign.pk}/state", {"state": "active"})
    some_rankings(campaign, 1)
    ann = a_program("annotator", "label", line=LINE, name="ann")
    held = ann.post(f"labelling/{campaign.pk}/next").json()
    assert held["pair"] is None
    assert len(held["ranking"]["answers"]) == 3
    place = f"labelling/{campaign.pk}/pairs/{held['ranking']['id']}"
    bad = ann.post(f"{place}/answer", {"ranking": [1, 2]})
    assert "a level for each of the 3 answers" in bad.content.decode()
    assert ann.post(f"{place}/answer", {"ranking": [2, 1, 2]}).json()["revision"] == 1
    assert ann.post(f"{place}/revise", {"ranking": [1, 1, 2]}).json()["revision"] == 2
    said = boss.items(f"lines/{LINE}/judgments?active=true")
    order = Assignment.objects.get(pk=held["ranking"]["id"]).shown_order
    assert [said[0]["ranking"][slot - 1] for slot in order] == [1, 1, 2]
    quality = boss.get(f"campaigns/{campaign.pk}/quality").json()
    assert (quality["rankings"], quality["rank_correlation"]) == (1, None)


def test_the_summary_of_a_line_names_its_rankings_by_how_many_answers_they_put_in_order(campaign):
    four = a_campaign(line_id=LINE, answers=4)
    some_rankings(four, 2)
    rater = an_annotator(four)
    rank_next(rater, four)
    since = timezone.now()
    rank_next(rater, four, 1, 1, 2, 3)
    pairs = a_campaign(line_id=LINE)
    some_pairs(pairs, 1, split="train")
    label_next(an_annotator(pairs), pairs)

    found = facade.label_summary(line_id=LINE)
    assert found.labels == 1
    assert [(each.labels, each.rankings) for each in found.raters] == [
        (0, 3),
        (0, 3),
        (0, 2),
        (1, 0),
    ]
    assert found.raters[0].median_seconds is found.raters[0].left_share is None
    assert found.rankings == (RankingCount(3, 6, 2), RankingCount(4, 2, 1))
    assert facade.label_summary(line_id=LINE, campaign_id=pairs.pk).rankings == ()
    assert facade.label_summary(line_id=LINE, since=since).rankings == (RankingCount(4, 1, 1),)
    assert facade.label_summary(line_id=LINE, until=since).rankings[1] == RankingCount(4, 1, 1)
    assert facade.label_summary(line_id=LINE, round_id=uuid.uuid4()).rankings == ()
    exclusion_make(
        exclusion=exclusion_drawn(campaign=four, rater=rater),
        reason="A test account.",
        actor=person_create("lea", "lead"),
    )
    left = facade.label_summary(line_id=LINE)
    assert left.rankings == (RankingCount(3, 6, 2),)
    assert [each.rankings for each in left.raters] == [3, 3, 0]


def test_who_compares_and_ranks_is_one_person_in_the_summary(campaign):
    pairs = a_campaign(line_id=LINE)
    some_pairs(pairs, 2, split="train")
    both = Assignment.objects.filter(comparison__campaign=campaign)[0].rater
    for _ in range(2):
        label_next(both, pairs, seconds=4.0)
    first, second = facade.label_summary(line_id=LINE).raters
    assert (first.rater, first.labels, first.rankings, first.median_seconds) == (
        both.pseudonym,
        2,
        3,
        4.0,
    )
    assert (second.labels, second.rankings) == (0, 3)


def test_people_of_a_campaign_that_ranks_are_a_table_too(campaign, lead):
    table = lead.get(reverse("quality:people_csv", args=[campaign.pk])).content.decode()
    header, *rows = table.splitlines()
    assert header == "person,pseudonym,rankings,median_seconds"
    assert [row.split(",")[2] for row in rows] == ["3", "3"]
    page = lead.get(reverse("quality:campaign", args=[campaign.pk])).content.decode()
    assert reverse("quality:people_csv", args=[campaign.pk]) in page


def test_a_ranking_counts_once_by_person_by_campaign_and_by_day(campaign, lead):
    """On every page and in every file that counts what people did."""
    rater = Assignment.objects.filter(comparison__campaign=campaign)[0].rater
    assert progress_for(rater=rater, campaign=campaign).today == 3
    assert progress_for(rater=rater, campaign=campaign).total == 3
    assert [(day.answers, day.people) for day in campaign_days(campaign=campaign)] == [(6, 2)]
    assert sorted(day.answers for day in work_days(campaign=campaign)) == [3, 3]
    assert [row.labels for row in rater_rows(campaign=campaign, left_out=())] == [3, 3]
    (gauge,) = campaign_gauges()
    assert (gauge.recent_labels, gauge.recent_raters) == (6, 2)
    since = timezone.now() - timedelta(days=1)
    assert facade.labels_since(line_id=LINE, since=since) == 6
    assert facade.fresh_label_count(line_id=LINE, since=since) == 6
    assert (
        sum(facade.label_shares(line_id=LINE).__dict__[part] for part in ("train", "held_out")) == 6
    )
    api = (
        a_program("lead", "read", line=LINE, name="reads")
        .get(f"campaigns/{campaign.pk}/quality")
        .json()
    )
    assert [(each["labels"], each["rankings"]) for each in api["raters"]] == [(0, 3), (0, 3)]


def test_no_page_of_its_answers_leads_to_a_page_about_pairs(campaign, lead):
    rater = Assignment.objects.filter(comparison__campaign=campaign)[0].rater
    for name in ("quality:answers", "quality:skips"):
        page = lead.get(reverse(name, args=[campaign.pk]), {"person": rater.pk})
        assert page.status_code == 200
        assert reverse("quality:person", args=[campaign.pk, rater.pk]) not in page.content.decode()
