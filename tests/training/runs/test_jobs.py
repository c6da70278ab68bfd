"""A run as a scheduler's job, against stand-ins for Slurm's commands: whoever dies, one program works."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from tests.support import scheduler_runs
from tests.support.fake_runs import attempts, eventually, updates
from tests.support.scheduler_runs import Worker, standing, until
from training.contracts import JobPlan, JobResources
from training.runs import jobs, scheduler_job
from training.runs.claims import LeaseLost
from training.runs.execution import RESTARTS, RunCancelled, RunFailed, run_execute
from training.runs.jobs import jobs_sweep
from training.runs.models import Run
from training.runs.services import run_cancel, run_take_up

pytestmark = pytest.mark.django_db(transaction=True)

SLURM = JobPlan(backend="slurm", every_step=JobResources(minutes=10))


def execute(run: Run, **options: Any) -> Any:
    return run_execute(run_id=run.id, owner="w", jobs=SLURM, **options)


kill_worker_at = partial(scheduler_runs.kill_worker_at, jobs=SLURM)
Thread = partial(Worker, jobs=SLURM)


def waits(run: Run, job_id: str) -> bool:
    return standing(run).get("phase") == "queued" and run.job_id == job_id


def test_a_job_ends_with_what_a_child_would_have_made(behave, order, slurm):
    behave(updates=3)
    record = execute(order())
    assert (record.state, record.attempts, record.backend, record.job_id) == (
        "succeeded",
        1,
        "slurm",
        "1",
    )
    assert updates(record.directory) == [1, 2, 3]
    here = run_execute(run_id=order().id, owner="w")
    assert [a["sha256"] for a in record.artifacts] == [a["sha256"] for a in here.artifacts]
    assert (here.backend, here.job_id) == ("local", "")
    assert len(slurm.calls("sbatch")) == 1


def test_a_job_gets_no_secret_of_the_site(behave, order, slurm, monkeypatch):
    for name in ("DATABASE_URL", "OUTERLOOP_SECRET_KEY", "SLURM_JOB_ID", "SLURM_NODEID"):
        monkeypatch.setenv(name, "told")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    execute(order())
    given = slurm.environment("1")
    assert (
        not {"DATABASE_URL", "OUTERLOOP_SECRET_KEY", "SLURM_JOB_ID", "SLURM_NODEID"} & given.keys()
    )
    assert not {"OUTERLOOP_LIFELINE"} & given.keys()
    assert given["SLURM_CONF"] == "/etc/slurm.conf"


def test_a_job_that_waits_says_so_and_then_where_it_runs(behave, order, slurm):
    slurm.hold(reason="Resources")
    run = order()
    said: list[str] = []
    worker = Thread(run, beat=lambda event: said.append(event.message) if event else None)
    waiting = until(run, lambda job: job.get("phase") == "queued")
    assert (waiting["where"], waiting["reason"]) == ("nightly", "Resources")
    assert waiting["since"].startswith("2026-03-01T22:10:00")
    behave(updates=2)
    os.system(f"{slurm.folder}/begin 1")
    assert worker.join().state == "succeeded"
    assert (
        said[0] == "Slurm job 1 waits in the queue of nightly: it waits for free nodes (Resources)."
    )


def test_a_wait_in_the_queue_is_no_work(behave, order, slurm):
    slurm.hold(reason="Priority")
    run = order()
    worker = Thread(run, time_limit_seconds=0.5)
    until(run, lambda job: job.get("phase") == "queued")
    time.sleep(1)
    run.refresh_from_db()
    assert run.state == "running"
    run_cancel(run_id=run.id)
    assert isinstance(worker.join(), RunCancelled)
    run.refresh_from_db()
    assert run.compute_seconds < 1


def test_a_killed_worker_leaves_its_job_and_the_next_goes_on_with_it(behave, order, slurm):
    behave(updates=12, seconds=0.2)
    run = order()
    kill_worker_at(run, 2)
    record = execute(run)
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 1, "1")
    assert len(slurm.calls("sbatch")) == 1
    assert len(attempts(run.directory)) == 1
    assert updates(run.directory) == list(range(1, 13))


def test_a_job_that_ended_while_nobody_looked_is_taken_in(behave, order, slurm):
    behave(updates=3, seconds=0.1)
    run = order()
    kill_worker_at(run, 1)
    eventually(lambda: (run.directory / "jobs" / "1" / "exit").exists())
    slurm.forget("1")
    slurm.mode("squeue", "away")
    assert execute(run).state == "succeeded"
    assert len(slurm.calls("sbatch")) == 1


def test_of_two_workers_on_one_job_the_word_of_the_first_no_longer_counts(behave, order, slurm):
    behave(updates=40, seconds=0.1)
    run = order()
    first = Thread(run)
    eventually(lambda: updates(run.directory))
    Run.objects.filter(pk=run.pk).update(lease_owner="another")
    assert isinstance(first.join(), LeaseLost)
    Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now())
    assert execute(run).attempts == 1
    assert len(slurm.calls("sbatch")) == 1


def test_a_job_whose_id_was_never_heard_is_found_by_its_name(behave, order, slurm, settings):
    settings.OUTERLOOP_SLURM_SECONDS = 1
    slurm.mode("sbatch", "mute")
    behave(updates=3, seconds=0.3)
    run = order()
    worker = Thread(run)
    silent = until(run, lambda job: job.get("silence", "") != "")
    assert silent["silence"] == "`sbatch` said nothing within 1 s"
    slurm.mode("sbatch", "refuse")
    assert worker.join().state == "succeeded"
    assert len(slurm.calls("sbatch")) == 1


def test_a_second_job_of_one_attempt_does_nothing(behave, order, slurm):
    behave(updates=10, seconds=0.2)
    run = order()
    worker = Thread(run)
    eventually(lambda: updates(run.directory))
    script = run.directory / "jobs" / "1" / "script.sh"
    os.system(f"{slurm.folder}/sbatch --parsable {script} > /dev/null")
    assert worker.join().state == "succeeded"
    assert len(attempts(run.directory)) == 1
    assert (
        "attempt 1 belongs to job 1; job 2 does nothing"
        in (run.directory / "child.log").read_text()
    )


def test_a_scheduler_that_does_not_answer_is_waited_for(behave, order, slurm):
    slurm.mode("sbatch", "away")
    run = order()
    worker = Thread(run)
    silent = until(run, lambda job: job.get("silence", "") != "")
    assert silent["silence"].endswith("Unable to contact slurm controller (connect failure)")
    behave(updates=40, seconds=0.1)
    slurm.mode("sbatch", "")
    until(run, lambda job: job.get("phase") == "running" and not job["silence"])
    slurm.mode("squeue", "away")
    assert until(run, lambda job: job["silence"] != "")["phase"] == "running"
    slurm.mode("squeue", "garble")
    until(run, lambda job: job["silence"] == "squeue answered 'slurm: news of the day'")
    assert worker.join().state == "succeeded"


def test_a_job_that_is_refused_fails_the_run_in_one_sentence(behave, order, slurm):
    slurm.mode("sbatch", "refuse")
    run = order()
    with pytest.raises(
        RunFailed, match="Slurm refused the job: Batch job submission failed: Invalid"
    ):
        execute(run)
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("failed", None)
    slurm.mode("sbatch", "")
    assert execute(run).attempts == 2


def test_without_slurm_on_the_path_the_sentence_says_so(behave, order, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    run = order()
    with pytest.raises(RunFailed, match="`sbatch` is not on this worker's PATH"):
        execute(run)
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("failed", None)  # no job to come back to: it may run here
    assert run_execute(run_id=run.id, owner="w", jobs=JobPlan(backend="local")).state == "succeeded"


def test_a_lost_job_is_submitted_again_and_goes_on_from_its_checkpoint(behave, order, slurm):
    behave(updates=6, die_first=0, seconds=0.2)
    run = order()
    worker = Thread(run)
    eventually(lambda: len(updates(run.directory)) >= 2)
    os.system(f"{slurm.folder}/scancel 1")
    slurm.state("1", "NODE_FAIL")
    record = worker.join()
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 2, "2")
    assert [a["token"] for a in attempts(run.directory)] == ["1", "2"]
    assert updates(run.directory) == [1, 2, 3, 4, 5, 6]


def test_a_job_that_dies_again_and_again_fails_with_what_the_scheduler_says(behave, order, slurm):
    slurm.hold(reason="None")
    run = order()
    worker = Thread(run)
    for job in map(str, range(1, 2 + RESTARTS)):
        eventually(partial(waits, run, job))
        slurm.state(job, "OUT_OF_MEMORY")
    assert "without getting further (OUT_OF_MEMORY)" in str(worker.join())
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("failed", None)


def test_a_job_near_its_time_limit_saves_and_is_queued_again(behave, order, slurm):
    behave(updates=8, seconds=0.3)
    run = order()
    worker = Thread(run)
    eventually(lambda: len(updates(run.directory)) >= 2)
    pid = int((slurm.folder / "1.pid").read_text())
    os.kill(pid, 10)  # SIGUSR1, to the script alone, as --signal=B:USR1@120 sends it
    record = worker.join()
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 1, "1")
    assert len(slurm.calls("sbatch")) == 1
    assert updates(run.directory) == list(range(1, 9))
    assert len(attempts(run.directory)) == 2
    assert (
        "the checkpoint is saved; job 1 is queued again"
        in (run.directory / "child.log").read_text()
    )


def test_a_cancelled_run_cancels_its_waiting_job(behave, order, slurm):
    slurm.hold(reason="Priority")
    run = order()
    worker = Thread(run)
    until(run, lambda job: job.get("phase") == "queued")
    run_cancel(run_id=run.id)
    assert isinstance(worker.join(), RunCancelled)
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("cancelled", None)
    assert (slurm.folder / "1.state").read_text().strip() == "CANCELLED"
    assert (run.directory / "fence").read_text() == "closed"


def test_the_job_of_a_run_that_lost_its_worker_is_cancelled_by_the_sweep(behave, order, slurm):
    behave(updates=2000, seconds=0.1)
    run = order()
    kill_worker_at(run, 1)
    jobs_sweep()
    assert not slurm.calls("scancel")
    run_cancel(run_id=run.id)
    jobs_sweep()
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("cancelled", None)
    assert len(slurm.calls("scancel")) == 1
    done = len(updates(run.directory))
    time.sleep(0.5)
    assert len(updates(run.directory)) == done


def test_the_sweep_leaves_alone_what_was_taken_up_while_it_asked(behave, order, slurm, monkeypatch):
    behave(updates=2000, seconds=0.1)
    run = order()
    kill_worker_at(run, 1)
    run_cancel(run_id=run.id)
    end = scheduler_job.job_end

    def taken_up_meanwhile(*about: Any) -> None:
        end(*about)
        run_take_up(run_id=run.id)
        Run.objects.filter(pk=run.id).update(state="pending", lease_expires_at=None)

    monkeypatch.setattr(jobs, "job_end", taken_up_meanwhile)
    jobs_sweep()
    run.refresh_from_db()
    assert run.state == "pending"
