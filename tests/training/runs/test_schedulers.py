"""What holds of a run under every scheduler, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.support.fake_runs import eventually, updates
from tests.support.scheduler_runs import Worker
from tests.training.runs.kubernetes import KUBERNETES
from training.contracts import JobPlan, JobResources
from training.runs import execution
from training.runs.execution import RunCancelled, run_execute
from training.runs.jobs import jobs_sweep
from training.runs.services import run_cancel, run_take_up

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Scheduler:
    """`hears(False)`: it cannot be told to end a job, until it hears again; `jobs`: how many it keeps."""

    plan: JobPlan
    hears: Callable[[bool], None]
    jobs: Callable[[], int] | None = None


@pytest.fixture(params=["slurm", "kubernetes"])
def scheduler(request: pytest.FixtureRequest) -> Scheduler:
    if request.param == "slurm":
        slurm: Any = request.getfixturevalue("slurm")
        plan = JobPlan(backend="slurm", every_step=JobResources(minutes=10))
        return Scheduler(plan, lambda well: slurm.mode("scancel", "" if well else "away"))
    cluster: Any = request.getfixturevalue("cluster")
    return Scheduler(
        KUBERNETES,
        lambda well: cluster.mode("DELETE jobs", "" if well else "500"),
        jobs=lambda: len(cluster.names()),
    )


@pytest.fixture
def started(scheduler: Scheduler) -> Callable[..., Worker]:
    return partial(Worker, jobs=scheduler.plan)


def test_a_cancelled_job_that_runs_saves_first_and_can_be_taken_up(
    behave, order, scheduler, started
):
    behave(updates=200, seconds=0.1)
    run = order()
    worker = started(run)
    eventually(lambda: len(updates(run.directory)) >= 2)
    run_cancel(run_id=run.id)
    assert isinstance(worker.join(), RunCancelled)
    done = len(updates(run.directory))
    run_take_up(run_id=run.id)
    behave(updates=done + 1)
    assert run_execute(run_id=run.id, owner="w", jobs=scheduler.plan).attempts == 2
    assert updates(run.directory) == list(range(1, done + 2))


def test_what_cannot_be_ended_may_not_write_and_is_ended_later(
    behave, order, scheduler, started, monkeypatch
):
    monkeypatch.setattr(execution, "GRACE_SECONDS", 0.3)
    behave(updates=2000, seconds=0.1, deaf=True)
    run = order()
    worker = started(run)
    eventually(lambda: len(updates(run.directory)) >= 2)
    scheduler.hears(False)
    run_cancel(run_id=run.id)
    assert isinstance(worker.join(), RunCancelled)
    eventually(lambda: (run.directory / "jobs" / "1" / "exit").exists())  # the fence ended it
    jobs_sweep()
    run.refresh_from_db()
    assert run.job_fence == 1
    assert scheduler.jobs is None or scheduler.jobs() == 1
    scheduler.hears(True)
    jobs_sweep()
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("cancelled", None)
    assert scheduler.jobs is None or scheduler.jobs() == 0
