"""A machine whose clock is hours off takes no work from the living, and leaves none of the dead's."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation.comparisons.models import Assignment, Comparison
from annotation.comparisons.services import leases_release_expired
from annotation.exchange.models import ImportJob
from annotation.exchange.services import import_create, import_run
from outerloop.rounds.claims import step_claim, step_heartbeat
from outerloop.rounds.models import RoundStep, State
from outerloop.rounds.selectors import rounds_without_worker
from tests.annotation.factories import a_campaign, an_annotator, lease, some_pairs
from tests.outerloop.rounds.world import LoopWorld, known
from training.runs.claims import RunBusy, run_claim
from training.runs.models import Run
from training.runs.services import run_create
from web.clock import database_now
from web.jobs import jobs_waiting

pytestmark = pytest.mark.django_db
OFF = [timedelta(hours=-5), timedelta(hours=5)]


@pytest.fixture
def clock(monkeypatch):
    """`clock(span)`: this machine's clock is off by `span` from now on."""
    right = timezone.now

    def set_(off: timedelta) -> None:
        monkeypatch.setattr("django.utils.timezone.now", lambda: right() + off)

    return set_


@pytest.fixture
def round_(settings: Any, tmp_path: Any) -> Any:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    return LoopWorld(tmp_path, labels=1).round(State.SNAPSHOT)


@pytest.mark.parametrize("off", OFF)
def test_a_step_that_another_worker_holds_is_left_to_it(round_, clock, off):
    held = known(step_claim(round_, owner="right"))
    clock(off)
    assert step_claim(round_, owner="wrong") is None
    assert rounds_without_worker() == []
    step_heartbeat(held)


@pytest.mark.parametrize("off", OFF)
def test_a_step_taken_by_a_wrong_clock_is_held_for_its_time_and_no_longer(round_, clock, off):
    clock(off)
    held = known(step_claim(round_, owner="wrong"))
    clock(timedelta(0))
    assert step_claim(round_, owner="right") is None
    step_heartbeat(held)
    RoundStep.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    assert rounds_without_worker() == [round_]
    assert known(step_claim(round_, owner="right")).fence == held.fence + 1


@pytest.mark.parametrize("off", OFF)
def test_a_run_is_never_carried_out_by_two(clock, off):
    ordered = run_create(line_id=uuid.uuid4(), kind="ppo", seed=1, config={}, inputs={})
    run_claim(ordered.id, "right")
    clock(off)
    with pytest.raises(RunBusy):
        run_claim(ordered.id, "wrong")
    Run.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    assert run_claim(ordered.id, "wrong").fence == 2
    clock(timedelta(0))
    with pytest.raises(RunBusy):
        run_claim(ordered.id, "right")


@pytest.mark.parametrize("off", OFF)
def test_an_import_under_way_is_left_alone_and_an_abandoned_one_is_found(clock, off, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Q"}')
    job = import_create(line_id=uuid.uuid4(), path=path)
    now = database_now()
    ImportJob.objects.update(state="running", heartbeat_at=now)
    clock(off)
    assert jobs_waiting(ImportJob) == []
    assert import_run(job_id=job.pk) is None
    ImportJob.objects.update(heartbeat_at=now - timedelta(minutes=5))
    assert jobs_waiting(ImportJob) == [job.pk]
    assert known(import_run(job_id=job.pk)).state == "done"


@pytest.mark.parametrize("off", OFF)
def test_a_pair_before_a_person_is_neither_taken_away_nor_held_for_ever(clock, off):
    campaign = a_campaign(lease_minutes=30)
    (pair,) = some_pairs(campaign, 1)
    clock(off)
    lease(an_annotator(campaign), campaign)
    assert leases_release_expired() == 0
    clock(timedelta(0))
    assert leases_release_expired() == 0
    span = known(Assignment.objects.get().lease_expires_at) - database_now()
    assert timedelta(minutes=29) < span <= timedelta(minutes=30)
    Assignment.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    clock(off)
    assert leases_release_expired() == 1
    assert Comparison.objects.get(pk=pair.pk).leased == 0
