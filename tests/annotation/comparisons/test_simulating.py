"""Simulated raters: the ordinary queue, the ordinary services, and a stop where people would stop."""

from __future__ import annotations

import pytest

from annotation import facade
from annotation.campaigns.services import guidelines_publish
from annotation.comparisons.models import Comparison, Judgment
from tests.annotation.factories import a_campaign, some_pairs

pytestmark = pytest.mark.django_db


def simulate(campaign, wanted: int, names=("one", "two")) -> tuple[int, list[str], list[int]]:
    asked: list[str] = []
    heard: list[int] = []

    def judge(name: str, shown: facade.ComparisonView) -> facade.Answer:
        asked.append(name)
        return facade.Answer(values={"overall": 1 if shown.left.startswith("first") else 7})

    done = facade.labels_simulate(
        campaign_ids=[campaign.pk], names=names, wanted=wanted, judge=judge, report=heard.append
    )
    return done, asked, heard


def test_the_raters_take_turns_and_their_labels_are_stored_in_slot_order():
    campaign = a_campaign(guidelines="Be fair.")
    some_pairs(campaign, 6)
    done, asked, heard = simulate(campaign, 5)
    assert (done, heard) == (5, [1, 2, 3, 4, 5])
    assert asked == ["one", "two", "one", "two", "one"]
    given = Judgment.objects.filter(rater__simulated=True)
    assert given.count() == 5
    assert set(given.values_list("values__value", flat=True)) == {1}


def test_an_empty_queue_ends_it_early():
    campaign = a_campaign()
    some_pairs(campaign, 3)
    assert simulate(campaign, 10)[0] == 3
    assert simulate(campaign, 10)[0] == 0


def test_new_guidelines_are_read_before_the_next_label():
    campaign = a_campaign(guidelines="Be fair.")
    some_pairs(campaign, 4)
    simulate(campaign, 2)
    guidelines_publish(campaign=campaign, text="Be fairer.")
    assert simulate(campaign, 2)[0] == 2


def test_a_paused_campaign_gives_nothing_to_a_simulation_and_the_next_one_is_asked():
    paused, active = a_campaign(state="paused"), a_campaign()
    for campaign in (paused, active):
        some_pairs(campaign, 1)
    assert simulate(paused, 1)[0] == 0
    done = facade.labels_simulate(
        campaign_ids=[paused.pk, active.pk],
        names=["one"],
        wanted=1,
        judge=lambda name, shown: facade.Answer(values={"overall": 4}),
        report=lambda done: None,
    )
    assert done == 1
    assert Judgment.objects.get().assignment.comparison.campaign == active


def test_what_a_judge_leaves_to_people_stays_in_the_queue():
    campaign = a_campaign()
    pairs = some_pairs(campaign, 2)
    done = facade.labels_simulate(
        campaign_ids=[campaign.pk],
        names=["one"],
        wanted=1,
        judge=lambda name, shown: None,
        report=lambda done: None,
    )
    assert done == 0
    assert Comparison.objects.filter(pk__in=[c.pk for c in pairs], open=True).count() == 2


def test_guidelines_published_in_the_middle_are_read_before_the_next_label():
    campaign = a_campaign(guidelines="Be fair.")
    some_pairs(campaign, 3)

    def publish(done: int) -> None:
        guidelines_publish(campaign=campaign, text=f"Be fairer, {done} times.")

    done = facade.labels_simulate(
        campaign_ids=[campaign.pk],
        names=["one"],
        wanted=3,
        judge=lambda name, shown: facade.Answer(values={"overall": 4}),
        report=publish,
    )
    assert done == 3
