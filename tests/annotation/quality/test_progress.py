"""What a campaign's progress page adds up, day by day, and what it says of the rest."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.comparisons.models import Judgment
from annotation.comparisons.records import Answer
from annotation.comparisons.services import judgment_revise, queue_lease_next
from annotation.quality import progress as module
from annotation.quality.progress import DayDone, campaign_progress
from tests.annotation.factories import (
    a_campaign,
    a_simulation,
    an_annotator,
    some_pairs,
    submit,
)
from tests.support.people import person_create
from tests.support.programs import a_program

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=95)
TODAY = date(2026, 5, 20)


@pytest.fixture
def campaign():
    made = a_campaign(line_id=LINE)
    some_pairs(made, 20)
    return made


def gives(campaign, rater: Rater, day: date, count: int = 1, seconds: float | None = None) -> None:
    """So many answers of the rater on that day, as if it were then."""
    for _ in range(count):
        lease = queue_lease_next(rater=rater, campaign=campaign)
        assert lease is not None
        submit(rater, lease.assignment_id, seconds=seconds)
        dated(lease.assignment_id, day)


def dated(assignment_id: uuid.UUID, day: date) -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    with connection.cursor() as cursor:  # the guard keeps a judgment as it was given
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE comparisons_judgment DISABLE TRIGGER USER")
        Judgment.objects.filter(assignment=assignment_id).update(created_at=at)
        cursor.execute("ALTER TABLE comparisons_judgment ENABLE TRIGGER USER")


def test_nothing_is_told_before_the_first_answer(campaign):
    found = campaign_progress(campaign=campaign, today=TODAY)
    assert (found.answers, found.to_come, found.pace, found.days) == (0, 20, 0.0, ())
    assert (found.days_left, found.done_on, found.cost) == (None, None, None)


def test_days_pace_and_the_rest(campaign):
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    gives(campaign, ann, TODAY - timedelta(days=2), 4, seconds=30.0)
    gives(campaign, ben, TODAY - timedelta(days=2), 2)
    gives(campaign, ann, TODAY, 3)
    found = campaign_progress(campaign=campaign, today=TODAY)
    assert found.days == (
        DayDone(TODAY - timedelta(days=2), 6, 2, 6, 120.0),
        DayDone(TODAY - timedelta(days=1)),
        DayDone(TODAY, 3, 1, 3, 0.0),
    )
    assert (found.answers, found.to_come) == (9, 11)
    assert found.pace == 3.0  # six in two days; today is not over
    assert (found.days_left, found.done_on) == (4, TODAY + timedelta(days=4))


def test_the_first_day_and_a_week_without_answers(campaign):
    gives(campaign, an_annotator(campaign), TODAY, 2)
    assert campaign_progress(campaign=campaign, today=TODAY).pace == 2.0
    later = campaign_progress(campaign=campaign, today=TODAY + timedelta(days=40))
    assert (later.pace, later.done_on) == (0.0, None)
    assert len(later.days) == 30
    assert later.answers == 2  # older than what is shown, and counted


def test_the_budget_bounds_what_is_to_come(campaign):
    gives(campaign, an_annotator(campaign), TODAY, 3)
    campaign.label_budget = 10
    assert campaign_progress(campaign=campaign, today=TODAY).to_come == 7
    campaign.label_budget = 2
    found = campaign_progress(campaign=campaign, today=TODAY)
    assert (found.to_come, found.days_left) == (0, 0)


def test_persons_cost_money_and_simulated_ones_do_not(campaign):
    ann = an_annotator(campaign)
    gives(campaign, ann, TODAY, 4, seconds=90.0)
    gives(campaign, a_simulation(), TODAY, 6)
    campaign.answer_price, campaign.hour_price = 0.5, 20.0
    found = campaign_progress(campaign=campaign, today=TODAY)
    assert found.cost == pytest.approx(4 * 0.5 + 20 * 4 * 90 / 3600)
    assert found.cost is not None
    assert found.cost_at_end == pytest.approx(found.cost * (1 + 10 / 4))
    assert (found.days[0].answers, found.days[0].paid) == (10, 4)
    campaign.hour_price = None
    assert campaign_progress(campaign=campaign, today=TODAY).cost == 2.0


def test_an_edited_answer_is_one_answer_of_the_longer_time_and_one_taken_back_is_none(campaign):
    ann = an_annotator(campaign)
    lease = queue_lease_next(rater=ann, campaign=campaign)
    assert lease is not None
    submit(ann, lease.assignment_id, seconds=60.0)
    judgment_revise(
        rater=ann,
        assignment_id=lease.assignment_id,
        answer=Answer(values={"overall": 3}, seconds=20.0),
        idempotency_key="k",
    )
    (day,) = campaign_progress(campaign=campaign).days
    assert (day.answers, day.seconds) == (1, 60.0)


def test_what_took_long_to_count_is_shown_again(campaign, monkeypatch):
    cache.clear()
    monkeypatch.setattr(module, "SLOW", 0.0)
    ann = an_annotator(campaign)
    gives(campaign, ann, TODAY)
    assert campaign_progress(campaign=campaign, today=TODAY).answers == 1
    gives(campaign, ann, TODAY)
    assert campaign_progress(campaign=campaign, today=TODAY).answers == 1
    cache.clear()
    assert campaign_progress(campaign=campaign, today=TODAY).answers == 2


def test_the_page_the_file_and_the_door_for_programs(campaign):
    lead = Client()
    lead.force_login(person_create("lea", "lead", line=LINE))
    address = f"/campaigns/{campaign.pk}/progress"
    assert "Nobody has answered anything here yet" in lead.get(f"{address}/").content.decode()
    ann = an_annotator(campaign)
    gives(campaign, ann, timezone.localdate(), 3, seconds=36.0)
    settings = f"/campaigns/{campaign.pk}/settings/"
    form = lead.get(settings).context["form"]
    sent = {
        name: field.value() for name in form.fields if (field := form[name]).value() is not None
    }
    sent = {**sent, "due_on": "2020-01-01", "answer_price": "0.25", "label_budget": "12"}
    assert lead.post(settings, {k: v for k, v in sent.items() if v is not False}).status_code == 302
    page = " ".join(lead.get(f"{address}/").content.decode().split())
    for says in ("later at this pace", "3 of 12", "0.75", "all of them come to 3.00"):
        assert says in page, says
    (row,) = csv.DictReader(io.StringIO(lead.get(f"{address}.csv").content.decode()))
    assert (row["answers"], row["active_minutes"], row["cost"]) == ("3", "1.8", "0.75")
    program = a_program("lead", "read", line=LINE, name="p")
    told = program.get(f"campaigns/{campaign.pk}/progress").json()
    assert (told["answers"], told["to_come"], told["cost"], told["cost_at_end"]) == (
        3,
        9,
        0.75,
        3.0,
    )
    assert told["days"][0]["paid"] == 3
    shown = program.get(f"campaigns/{campaign.pk}").json()
    assert (shown["due_on"], shown["answer_price"]) == ("2020-01-01", 0.25)
