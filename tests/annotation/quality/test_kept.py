"""Measures of the quality page that are slow are kept for a while, and made anew when they should be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from annotation.comparisons.models import Exclusion
from annotation.quality import kept
from annotation.quality.kept import quality_measures, quality_measures_renew
from annotation.quality.pages import quality_measure, quality_page
from annotation.quality.services import exclusion_drawn, exclusion_lift, exclusion_make
from tests.annotation.factories import a_campaign, an_annotator, some_pairs
from tests.annotation.quality.world import say
from tests.support.people import person_create
from web.access import LEAD

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_kept():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def slow(monkeypatch):
    """Everything counts as slow."""
    monkeypatch.setattr(kept, "SLOW", -1.0)


@pytest.fixture
def campaign():
    return a_campaign()


def answered(campaign, count):
    rater = an_annotator(campaign)
    for pair in some_pairs(campaign, count):
        say(rater, pair, 1)
    return rater


def test_what_is_quick_is_measured_at_every_look(campaign, monkeypatch):
    monkeypatch.setattr(kept, "SLOW", 3600.0)
    answered(campaign, 2)
    assert quality_measures(campaign=campaign).labels == 2
    answered(campaign, 1)
    assert quality_measures(campaign=campaign).labels == 3


def test_what_is_slow_is_kept_with_its_moment(campaign, slow):
    answered(campaign, 2)
    first = quality_measures(campaign=campaign)
    answered(campaign, 1)
    assert quality_measures(campaign=campaign) == first
    other = a_campaign()
    answered(other, 1)
    assert quality_measures(campaign=other).labels == 1


def test_what_a_lead_leaves_out_or_takes_in_is_measured_at_once(campaign, slow):
    odd = answered(campaign, 2)
    answered(campaign, 3)
    assert quality_measures(campaign=campaign).labels == 5
    lea = person_create("lea", LEAD)
    drawn = exclusion_drawn(campaign=campaign, rater=odd)
    made = exclusion_make(exclusion=drawn, reason="always left", actor=lea)
    assert quality_measures(campaign=campaign).labels == 3
    exclusion_lift(exclusion=made, actor=lea)
    assert quality_measures(campaign=campaign).labels == 5
    assert Exclusion.objects.count() == 1


def test_a_sweep_measures_anew_what_was_asked_for_and_is_old(campaign, slow, monkeypatch):
    unasked = a_campaign()
    for one in (campaign, unasked):
        answered(one, 1)
        quality_measures(campaign=one)  # measured, and kept
    quality_measures(campaign=campaign)
    answered(campaign, 1)
    answered(unasked, 1)
    assert quality_measures_renew() == 0  # it is of now
    monkeypatch.setattr(kept, "OLD", 0)
    before = timezone.now()
    assert quality_measures_renew() == 1
    found = quality_measures(campaign=campaign)
    assert found.labels == 2
    assert before <= found.at <= timezone.now()
    assert quality_measures(campaign=unasked).labels == 1


def test_the_first_look_of_the_day_shows_the_last_measures_and_has_them_made_anew(
    campaign, slow, client, monkeypatch
):
    """Nobody waits for it, as long as it is of the last week."""
    answered(campaign, 1)
    client.force_login(person_create("lou", LEAD, line=campaign.line))
    address = reverse("quality:campaign", args=[campaign.pk])
    assert "Newer figures are being made" not in client.get(address).content.decode()
    answered(campaign, 1)
    monkeypatch.setattr(kept, "STALE", 0)
    monkeypatch.setattr(kept, "OLD", 0)
    assert quality_measures_renew() == 0  # nobody has looked since
    with monkeypatch.context() as patched:
        patched.setattr(kept, "quality_measure", None)  # not called
        page = client.get(address)
    assert page.context["measures"].labels == 1
    assert "Newer figures are being made" in page.content.decode()
    assert quality_measures_renew() == 1
    assert client.get(address).context["measures"].labels == 2


def test_what_has_become_quick_is_kept_no_longer(campaign, slow, monkeypatch):
    answered(campaign, 1)
    for _ in range(2):
        quality_measures(campaign=campaign)
    answered(campaign, 1)
    monkeypatch.setattr(kept, "SLOW", 3600.0)
    monkeypatch.setattr(kept, "OLD", 0)
    assert quality_measures_renew() == 1
    assert quality_measures(campaign=campaign).labels == 2


def test_two_sweeps_do_not_measure_the_same(campaign, slow, monkeypatch):
    answered(campaign, 1)
    for _ in range(2):
        quality_measures(campaign=campaign)
    later = timezone.now() + timedelta(seconds=kept.OLD + 1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert (quality_measures_renew(), quality_measures_renew()) == (1, 0)


def test_the_page_calls_people_by_the_names_that_they_have_now(campaign):
    rater = answered(campaign, 1)
    measures = quality_measure(campaign=campaign)
    assert {row.name for row in measures.people} == {""}  # nothing of an erased person is kept
    rater.user.first_name, rater.user.last_name = "New", "Name"
    rater.user.save()
    (row,) = quality_page(measures, query=QueryDict(), name="NEW NA").people
    assert row.name == "New Name"
    assert quality_page(measures, query=QueryDict(), name="nobody").people == ()
    rater.user = None
    rater.save()
    (row,) = quality_page(measures, query=QueryDict()).people
    assert row.name == rater.pseudonym


def test_pages_of_people_go_by_labels(campaign, monkeypatch):
    monkeypatch.setattr("annotation.quality.pages.PEOPLE_SHOWN", 2)
    raters = [answered(campaign, n) for n in (1, 3, 2)]
    measures = quality_measure(campaign=campaign)
    first = quality_page(measures, query=QueryDict())
    assert [row.rater_id for row in first.people] == [raters[1].pk, raters[2].pk]
    rest = quality_page(measures, query=QueryDict(first.older_query.removeprefix("?")))
    assert [row.rater_id for row in rest.people] == [raters[0].pk]
    assert (first.newer_query, rest.older_query) == ("", "")
