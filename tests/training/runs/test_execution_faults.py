"""Workers and children that die, and two workers at once: real processes, real signals, real threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings as site
from django.db import connection
from django.utils import timezone

from tests.support.fake_runs import alive, attempts, eventually, product_environment, updates
from training.runs.execution import RunBusy, RunFailed, run_execute
from training.runs.models import Run
from training.runs.selectors import run_events

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_killed_child_fails_the_run_and_the_next_attempt_resumes(behave, order):
    behave(updates=1000, seconds=0.02)
    run = order()

    def kill(event):
        if event is not None and event.step == 3:
            os.kill(attempts(run.directory)[-1]["pid"], signal.SIGKILL)

    with pytest.raises(RunFailed, match="ended from outside"):
        run_execute(run_id=run.id, owner="w", beat=kill)
    run.refresh_from_db()
    assert (run.state, run.exit_code) == ("failed", -signal.SIGKILL)
    done = len(updates(run.directory))
    behave(updates=done + 2)
    assert run_execute(run_id=run.id, owner="w").state == "succeeded"
    assert updates(run.directory) == list(range(1, done + 3))
    seqs = [event.seq for event in run_events(run.id)]
    assert seqs == list(range(1, len(seqs) + 1))


def test_of_two_workers_at_once_exactly_one_works(behave, order):
    behave(updates=5, seconds=0.05)
    run = order()
    outcomes: list[str] = []
    begin = threading.Barrier(2)

    def work(owner):
        try:
            begin.wait()
            outcomes.append(run_execute(run_id=run.id, owner=owner).state)
        except RunBusy:
            outcomes.append("busy")
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["busy", "succeeded"]
    assert len(attempts(run.directory)) == 1
    assert updates(run.directory) == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_killed_worker_takes_its_child_along_and_another_goes_on(
    behave, order, tmp_path, settings
):
    behave(updates=1000, seconds=0.05)
    run = order()
    environment = product_environment(tmp_path / "var", OUTERLOOP_LEASE_SECONDS="5")
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fake_executor", str(run.id)],
        cwd=site.BASE_DIR,
        env=environment,
    )
    try:
        eventually(lambda: len(updates(run.directory)) >= 2)
        (first,) = attempts(run.directory)
        worker.kill()
        worker.wait()
        eventually(lambda: not alive(first["pid"]), seconds=5)
    finally:
        worker.kill()
    with pytest.raises(RunBusy):  # its lease still runs
        run_execute(run_id=run.id, owner="second")
    eventually(lambda: Run.objects.filter(pk=run.id, lease_expires_at__lt=timezone.now()).exists())
    done = len(updates(run.directory))
    behave(updates=done + 1)
    assert run_execute(run_id=run.id, owner="second").attempts == 2
    assert updates(run.directory) == list(range(1, done + 2))


@pytest.mark.slow
def test_a_child_that_outlives_its_worker_cannot_write_beside_the_next(behave, order, tmp_path):
    """It ignores the lifeline; the lock keeps the next one waiting and the fence stops it."""
    behave(updates=1000, seconds=0.1, orphan=True)
    run = order()
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fake_executor", str(run.id)],
        cwd=site.BASE_DIR,
        env=product_environment(tmp_path / "var"),
    )
    try:
        eventually(lambda: len(updates(run.directory)) >= 2)
    finally:
        worker.kill()
        worker.wait()
    (orphan,) = attempts(run.directory)
    assert alive(orphan["pid"])
    Run.objects.filter(pk=run.id).update(lease_expires_at=timezone.now())
    behave(updates=200)
    assert run_execute(run_id=run.id, owner="second").state == "succeeded"
    assert not alive(orphan["pid"])
    assert updates(run.directory) == list(range(1, 201))
    tokens = [line.split()[1] for line in (run.directory / "updates.log").read_text().splitlines()]
    assert tokens == sorted(tokens)  # never in turn
