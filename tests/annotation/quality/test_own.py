"""An annotator's own page: counts, time for pay, and never what others said."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from django.urls import reverse

from annotation.accounts.models import User
from annotation.campaigns.models import Campaign
from annotation.comparisons.records import Answer
from annotation.comparisons.services import assignment_skip, judgment_revise, judgment_undo
from annotation.quality.work import FEWEST_TOLD, own_figures, work_days
from tests.annotation.factories import a_campaign, an_annotator, lease, some_pairs
from tests.annotation.quality.test_views import words
from tests.annotation.quality.world import again, say
from tests.support.given import given
from tests.support.people import person_create
from web.access import LEAD

pytestmark = pytest.mark.django_db

MONDAY, TUESDAY = datetime(2030, 1, 7, 12, tzinfo=UTC), datetime(2030, 1, 8, 12, tzinfo=UTC)


def test_time_is_counted_once_a_pair_on_the_day_of_its_first_answer():
    campaign = a_campaign()
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    one, two, three, _ = some_pairs(campaign, 4)
    edited = say(ann, one, 1, seconds=30.0, at=MONDAY)
    for key, seconds in (("shorter", 10.0), ("longer", 45.0)):
        judgment_revise(
            rater=ann, assignment_id=edited.pk, answer=Answer({"overall": 7}, seconds=seconds),
            idempotency_key=key,
        )  # fmt: skip
    judgment_undo(rater=ann, assignment_id=say(ann, two, 1, seconds=20.0, at=MONDAY).pk)
    say(ann, three, 1, seconds=12.0, at=TUESDAY)
    say(ben, three, 1, seconds=99.0, at=TUESDAY)
    tuesday, monday = work_days(rater=ann)
    assert (tuesday.answers, tuesday.seconds) == (1, 12.0)
    assert (monday.answers, monday.skipped, monday.seconds) == (1, 0, 45.0 + 20.0)
    assert monday.campaign == campaign.name
    assert {day.rater_id for day in work_days(campaign=campaign)} == {ann.pk, ben.pk}
    assert work_days(campaign=a_campaign()) == []


def test_skipped_pairs_are_counted_by_themselves():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    ann = an_annotator(campaign)
    assignment_skip(rater=ann, assignment_id=lease(ann, campaign).assignment_id, reason="technical")
    (day,) = work_days(rater=ann)
    assert (day.answers, day.skipped, day.seconds) == (0, 1, 0.0)


def test_agreement_is_told_only_where_it_gives_nobody_away():
    campaign = a_campaign()
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    for number, pair in enumerate(some_pairs(campaign, FEWEST_TOLD)):
        assert own_figures(rater=ann).with_others is None
        say(ann, pair, 1)
        say(ben, pair, 1 if number < 15 else 7)
    found = given(own_figures(rater=ann).with_others)
    assert (found.value, found.n) == (15 / FEWEST_TOLD, FEWEST_TOLD)


def test_repeats_by_hand():
    campaign = a_campaign()
    ann = an_annotator(campaign)
    assert own_figures(rater=ann).repeats is None
    for pair, value in zip(some_pairs(campaign, 3), (2, 3, 6), strict=True):
        say(ann, pair, 1)
        say(ann, again(pair, campaign), value)
    found = given(own_figures(rater=ann).repeats)
    assert (found.value, found.n) == (2 / 3, 3)


def test_the_page_shows_own_work_and_no_other_name(client):
    campaign = a_campaign()
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    for pair in some_pairs(campaign, 2):
        say(ann, pair, 1, seconds=90.0)
        say(ben, pair, 7, rationale="Because.")
    client.force_login(given(ann.user))
    said = words(client.get(reverse("quality:own")))
    assert "2 answers in all 3 min time on pairs in all" in said
    assert "Once 20 of your pairs have been compared by others as well" in said
    assert str(ben.user) not in said
    assert ben.pseudonym not in said
    assert "Because." not in said
    home = client.get(reverse("web:home")).content.decode()
    assert f'href="{reverse("quality:own")}"' in home


def test_before_the_first_answer_it_says_what_will_be_here(client):
    client.force_login(given(an_annotator(a_campaign()).user))
    assert "You have not compared anything yet" in words(client.get(reverse("quality:own")))


def test_the_files_of_time_hold_no_formula(client):
    campaign = a_campaign()
    Campaign.objects.filter(pk=campaign.pk).update(name="=1+1")
    ann = an_annotator(campaign)
    User.objects.filter(rater=ann).update(first_name="@SUM(A1)")
    say(ann, some_pairs(campaign, 1)[0], 1, seconds=90.0, at=MONDAY)
    client.force_login(given(ann.user))
    own = client.get(reverse("quality:own_csv")).content.decode()
    (row,) = csv.DictReader(io.StringIO(own))
    assert row == {
        "date": "2030-01-07", "campaign": "'=1+1", "answers": "1", "skipped": "0",
        "active_minutes": "1.5",
    }  # fmt: skip
    client.force_login(person_create("lea", LEAD))
    pay = client.get(reverse("quality:time_csv", args=[campaign.pk])).content.decode()
    (row,) = csv.DictReader(io.StringIO(pay))
    assert (row["person"], row["pseudonym"]) == ("'@SUM(A1)", ann.pseudonym)
    assert row["active_minutes"] == "1.5"
