"""Carrying out a run: what counts, what does not, and what each way to end leaves behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from tests.support.fake_runs import attempts, updates
from training import facade as training
from training.contracts import RunEvent
from training.digests import artifact_verify
from training.runs.claims import LeaseLost, RunBusy
from training.runs.execution import RunCancelled, RunFailed, run_execute
from training.runs.models import Run
from training.runs.selectors import run_events, run_log_tail
from training.runs.services import run_cancel, run_take_up

pytestmark = pytest.mark.django_db


def execute(run, **options):
    return run_execute(run_id=run.id, owner="worker", **options)


def test_a_run_that_ends_well_has_its_artifacts_results_and_log(behave, order):
    run = order()
    record = execute(run)
    assert (record.state, record.attempts, record.error) == ("succeeded", 1, "")
    assert record.results["updates"] == 3
    assert 0 < record.seconds < 30
    policy = training.input_from_run(record, "policy")
    assert artifact_verify(Path(policy.path)) == record.artifacts[0]["sha256"]
    assert "goes on from update 0" in run_log_tail(run.id)
    run.refresh_from_db()
    assert (run.exit_code, run.lease_expires_at) == (0, None)


@pytest.mark.parametrize("manner", [{}, {"torn": True}, {"repeat": True}])
def test_every_event_is_kept_once_however_its_line_arrives(behave, order, manner):
    behave(updates=2, **manner)
    told: list[RunEvent | None] = []
    run = order()
    execute(run, beat=told.append)
    kept = run_events(run.id)
    assert [(e.seq, e.phase, e.step) for e in kept] == [
        (1, "start", 1), (2, "update", 1), (3, "update", 2)
    ]  # fmt: skip
    assert kept[1].metrics == {"reward": 0.1, "unknown": None}
    assert [event.seq for event in told if event is not None] == [1, 2, 3]
    assert told.count(None) >= 1  # heartbeats
    assert [e.seq for e in run_events(run.id, after_seq=2)] == [3]


def test_a_line_that_is_no_event_is_left_out(behave, order):
    behave(updates=1)
    run = order()
    run.directory.mkdir(parents=True)
    (run.directory / "events.jsonl").write_text('{"seq": 1}\n')
    execute(run)
    assert [event.phase for event in run_events(run.id)] == ["start", "update"]


def test_a_finished_run_is_not_carried_out_twice(behave, order):
    run = order()
    first = execute(run)
    assert execute(run) == first
    assert len(attempts(run.directory)) == 1


def test_a_flipped_byte_fails_the_run_and_names_the_artifact(behave, order):
    behave(damage="held_out_reward_model")
    run = order("reward_model")
    with pytest.raises(RunFailed, match=r"held_out_reward_model.*changed or damaged"):
        execute(run)
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.manifest is None
    with pytest.raises(LookupError, match="made no artifact 'reward_model'"):
        training.input_from_run(training.run_get(run.id), "reward_model")


def test_a_manifest_for_another_order_does_not_count(behave, order):
    behave(another=True)
    with pytest.raises(RunFailed, match="answers another spec"):
        execute(order())


def test_a_program_that_ends_well_without_a_result_failed(behave, order):
    behave(silent=True)
    with pytest.raises(RunFailed, match=r"left no manifest\.json"):
        execute(order())


def test_a_failing_program_is_quoted_with_its_own_exit_code(behave, order):
    behave(fail="The prompts file has no row.", code=2)
    run = order()
    with pytest.raises(RunFailed, match=r"^The prompts file has no row\.$"):
        execute(run)
    run.refresh_from_db()
    assert (run.state, run.exit_code, run.error) == ("failed", 2, "The prompts file has no row.")
    assert run.finished_at is not None


def test_a_failed_run_goes_on_from_its_checkpoint(behave, order):
    behave(fail="Out of disk.")
    run = order()
    with pytest.raises(RunFailed):
        execute(run)
    behave()
    record = execute(run)
    assert (record.state, record.attempts, record.error) == ("succeeded", 2, "")
    assert updates(run.directory) == [1, 2, 3]
    assert [a["token"] for a in attempts(run.directory)] == ["1", "2"]
    assert (run.directory / "fence").read_text() == "2"
    assert [event.seq for event in run_events(run.id)] == list(range(1, 6))


def test_a_directory_still_held_leaves_the_run_waiting(behave, order):
    behave(held=True)
    run = order()
    with pytest.raises(RunBusy, match="still held"):
        execute(run)
    run.refresh_from_db()
    assert (run.state, run.exit_code, run.error) == ("pending", 75, "")
    behave()
    assert execute(run).state == "succeeded"


def test_only_the_last_attempt_s_words_say_that_the_directory_is_held(behave, order):
    behave(held=True)
    run = order()
    with pytest.raises(RunBusy):
        execute(run)
    behave(fail="Something else.", code=2)
    with pytest.raises(RunFailed, match="Something else"):
        execute(run)


def test_a_cancelled_run_keeps_its_checkpoint_and_can_be_taken_up(behave, order):
    behave(updates=200, seconds=0.02)
    run = order()

    def cancel_after_two(event):
        if event is not None and event.step == 2:
            run_cancel(run_id=run.id)

    with pytest.raises(RunCancelled, match="last checkpoint is kept"):
        execute(run, beat=cancel_after_two)
    run.refresh_from_db()
    assert (run.state, run.exit_code) == ("cancelled", 130)
    done = int((run.directory / "checkpoint").read_text())
    assert 2 <= done < 200
    with pytest.raises(RunCancelled):  # nobody goes on with it by mistake
        execute(run)
    behave(updates=done + 1)
    run_take_up(run_id=run.id)
    assert execute(run).state == "succeeded"
    assert updates(run.directory) == list(range(1, done + 2))


def test_a_deaf_program_is_ended_after_the_grace(behave, order, monkeypatch):
    monkeypatch.setattr("training.runs.execution.GRACE_SECONDS", 0.2)
    behave(updates=1000, seconds=0.05, deaf=True)
    run = order()
    with pytest.raises(RunCancelled):
        execute(run, beat=lambda event: run_cancel(run_id=run.id) if event else None)
    assert len(updates(run.directory)) < 900


def test_the_time_limit_ends_a_run_like_a_cancelling(behave, order):
    behave(updates=1000, seconds=0.02)
    run = order()
    with pytest.raises(RunCancelled):
        execute(run, time_limit_seconds=0.5)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert run.cancel_requested_at is None  # no person did
    assert (run.directory / "checkpoint").exists()


def test_a_beat_that_raises_ends_the_child_and_frees_the_run(behave, order):
    class Stop(Exception):
        pass

    def stop(event):
        if event is not None:
            raise Stop

    behave(updates=1000, seconds=0.02)
    run = order()
    with pytest.raises(Stop):
        execute(run, beat=stop)
    run.refresh_from_db()
    assert (run.state, run.lease_expires_at) == ("pending", None)
    behave(updates=len(updates(run.directory)) + 1)
    assert execute(run).state == "succeeded"


def test_a_worker_that_lost_its_lease_has_no_say(behave, order):
    behave(updates=1000, seconds=0.02)
    run = order()

    def taken_over(event):
        if event is not None:
            Run.objects.filter(pk=run.id).update(fence=2, lease_owner="another")

    with pytest.raises(LeaseLost, match="taken over"):
        execute(run, beat=taken_over)
    run.refresh_from_db()
    assert (run.state, run.lease_owner, run.error) == ("running", "another", "")


def test_a_result_that_comes_after_the_lease_was_lost_does_not_count(behave, order, settings):
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 60  # the loss is not noticed before the end
    behave(updates=1)
    run = order()

    def taken_over(event):
        if event is not None:
            Run.objects.filter(pk=run.id).update(fence=2, lease_owner="another")

    with pytest.raises(LeaseLost):
        execute(run, beat=taken_over)
    run.refresh_from_db()
    assert (run.state, run.manifest) == ("running", None)


def test_a_held_run_is_refused_until_its_lease_runs_out(behave, order):
    run = order()
    now = timezone.now()
    held = Run.objects.filter(pk=run.id)
    held.update(state="running", lease_owner="w1", lease_expires_at=now + timedelta(hours=1))
    with pytest.raises(RunBusy, match="held by w1"):
        execute(run)
    held.update(lease_expires_at=now)
    assert execute(run).state == "succeeded"
