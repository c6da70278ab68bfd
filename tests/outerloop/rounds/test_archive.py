"""A line that is put away: with its campaigns, without its schedule, and nothing of it lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django_celery_beat.models import PeriodicTask

from annotation.campaigns.models import Campaign
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.mending import round_take_up
from outerloop.rounds.models import PolicyLine, Round, StartAttempt, State
from outerloop.rounds.schedule import line_archive, schedule_save
from outerloop.rounds.services import first_pairs_order, round_start
from tests.outerloop.rounds.world import LoopWorld
from tests.support.people import person_create
from tests.support.programs import Program
from web.models import AuditEvent
from web.registry import line_named, lines_offered

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(tmp_path: Path, settings) -> LoopWorld:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    return LoopWorld(tmp_path)


@pytest.fixture
def lea(world):
    return person_create("lea", "lead", line=world.line.id)


@pytest.fixture
def page(lea):
    client = Client()
    client.force_login(lea)
    return client


def test_an_archived_line_leaves_lists_and_choices_and_keeps_its_name(world, page):
    line = world.line
    world.round(State.CLOSED)
    page.post(f"/lines/{line.slug}/archive/", follow=True)
    line.refresh_from_db()
    assert line.archived_at is not None
    assert line.name not in page.get("/lines/").content.decode()
    assert line.name in page.get("/lines/?archived=1").content.decode()
    assert line.name not in page.get("/").content.decode()
    assert line.id not in {offered.id for offered in lines_offered()}
    assert line_named(line.id).name == line.name
    assert "Archived" in page.get(f"/lines/{line.slug}/").content.decode()
    assert page.get(f"/lines/{line.slug}/rounds/1/").status_code == 200
    campaign = Campaign.objects.get(pk=world.campaign.pk)
    assert (campaign.state, campaign.archived_at is not None) == ("closed", True)


def test_its_schedule_ends_and_no_round_starts_until_it_is_taken_back(world, page):
    line = world.line
    line.schedule_enabled = True
    schedule_save(line=line, actor="set-up")
    page.post(f"/lines/{line.slug}/archive/")
    line.refresh_from_db()
    assert (line.schedule_enabled, PeriodicTask.objects.get(name__contains=line.slug).enabled) == (
        False,
        False,
    )
    with pytest.raises(RoundRefused, match="The line is archived"):
        round_start(line=line, trigger="schedule")
    page.post(f"/lines/{line.slug}/archive/", {"archived": "no"})
    line.refresh_from_db()
    assert line.archived_at is None
    assert round_start(line=line, trigger="person").number == 1
    assert Campaign.objects.get(pk=world.campaign.pk).archived_at is not None  # one by one


def test_a_line_with_an_active_round_is_not_archived(world, page):
    world.round(State.POLICY_TRAINING)
    answer = page.post(f"/lines/{world.line.slug}/archive/", follow=True)
    assert "before you archive" in answer.content.decode()
    world.line.refresh_from_db()
    assert world.line.archived_at is None
    Round.objects.update(state=State.CLOSED)
    page.post(f"/lines/{world.line.slug}/archive/")
    page.post(f"/lines/{world.line.slug}/archive/")  # twice is once
    assert AuditEvent.objects.filter(verb="archived line").count() == 1


def test_engineers_do_not_archive_and_programs_see_lines_put_away_when_they_ask(world, page):
    eve = person_create("eve", "engineer", line=world.line.id)
    client = Client()
    client.force_login(eve)
    assert client.post(f"/lines/{world.line.slug}/archive/").status_code == 403
    assert "archive/" not in client.get(f"/lines/{world.line.slug}/").content.decode()
    program = Program(eve, "read")
    assert len(program.items("lines")) == 1
    page.post(f"/lines/{world.line.slug}/archive/")
    assert program.items("lines") == []
    assert len(program.items("lines", archived="true")) == 1


@pytest.mark.parametrize("start", [first_pairs_order, round_start])
def test_no_round_starts_on_a_line_that_was_archived_after_it_was_read(world, start):
    line = world.line
    line_archive(line=PolicyLine.objects.get(pk=line.pk), archived=True, actor="lea")
    with pytest.raises(RoundRefused, match="The line is archived"):
        start(line=line, trigger="person")
    assert not Round.objects.exists()
    told = StartAttempt.objects.values_list("reason", flat=True)
    assert [why.split(";")[0] for why in told] == (
        [] if start is first_pairs_order else ["The line is archived"]
    )


def test_a_failed_round_of_an_archived_line_is_not_taken_up(world):
    failed = world.round(State.SNAPSHOT)
    failed.steps.create(name=State.SNAPSHOT, position=0)
    Round.objects.update(state=State.FAILED)
    line_archive(line=world.line, archived=True, actor="lea")
    with pytest.raises(RoundRefused, match="The line is archived"):
        round_take_up(round_=failed, actor="eve")
    line_archive(line=world.line, archived=False, actor="lea")
    round_take_up(round_=failed, actor="eve")
    assert Round.objects.get().active


def test_the_schedule_of_an_archived_line_is_not_switched_on_again(world):
    line, eve = world.line, Client()
    eve.force_login(person_create("eve", "engineer", line=line.id))
    line_archive(line=line, archived=True, actor="lea")
    form = {
        "schedule_enabled": "on", "schedule_time": "01:45", "schedule_time_zone": "UTC",
        "schedule_days": "*", "minimum_fresh_labels": "5",
    }  # fmt: skip
    answer = eve.post(f"/lines/{line.slug}/schedule/", form)
    assert "The line is archived" in answer.content.decode()
    assert not PeriodicTask.objects.filter(name__contains=line.slug, enabled=True).exists()
    assert not PolicyLine.objects.get().schedule_enabled
    form.pop("schedule_enabled")
    assert eve.post(f"/lines/{line.slug}/schedule/", form).status_code == 302


def test_archiving_by_what_was_read_earlier_is_still_once(world):
    early = PolicyLine.objects.get(pk=world.line.pk)
    line_archive(line=world.line, archived=True, actor="lea")
    line_archive(line=early, archived=True, actor="lea")
    assert AuditEvent.objects.filter(verb="archived line").count() == 1
