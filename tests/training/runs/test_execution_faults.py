"""Workers and children that die, and two workers at once: real processes, real signals, real threads."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import psycopg
import pytest
from django.conf import settings as site
from django.db import connection
from django.utils import timezone

from tests.support.fake_runs import (
    alive,
    attempts,
    database_url,
    eventually,
    product_environment,
    updates,
)
from training.runs import execution
from training.runs.claims import RunBusy
from training.runs.execution import RESTARTS, RunFailed, run_execute
from training.runs.exit_report import manifest_read
from training.runs.models import Run
from training.runs.selectors import run_events

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_killed_child_is_started_again_from_its_checkpoint(behave, order):
    behave(updates=5, die_at=[3])
    run = order()
    record = run_execute(run_id=run.id, owner="w")
    assert (record.state, record.attempts) == ("succeeded", 2)
    assert updates(run.directory) == [1, 2, 3, 4, 5]
    assert [(a["token"], a["from"]) for a in attempts(run.directory)] == [("1", 0), ("2", 3)]
    seqs = [event.seq for event in run_events(run.id)]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_child_killed_again_and_again_without_getting_further_fails_the_run(behave, order):
    behave(updates=4, die_first=100)
    run = order()
    with pytest.raises(RunFailed, match="ended from outside"):
        run_execute(run_id=run.id, owner="w")
    run.refresh_from_db()
    assert (run.state, run.exit_code, run.fence) == ("failed", -signal.SIGKILL, 1 + RESTARTS)
    behave(updates=4)
    assert run_execute(run_id=run.id, owner="w").state == "succeeded"
    assert updates(run.directory) == [1, 2, 3, 4]


def test_a_child_that_gets_further_each_time_may_be_killed_often(behave, order):
    kills = list(range(1, 3 + RESTARTS))
    behave(updates=6, die_at=kills)
    run = order()
    assert run_execute(run_id=run.id, owner="w").attempts == 1 + len(kills)
    assert updates(run.directory) == [1, 2, 3, 4, 5, 6]


def test_a_lost_database_connection_does_not_disturb_the_child(behave, order, monkeypatch):
    monkeypatch.setattr(execution, "AWAY_SECONDS", 0.1)
    behave(updates=20, seconds=0.05)
    run = order()
    lost: list[int] = []

    def lose(event):
        if event is not None and event.phase == "update" and not lost:
            connection_end()
            lost.append(event.step)

    record = run_execute(run_id=run.id, owner="w", beat=lose)
    assert (record.state, record.attempts, len(lost)) == ("succeeded", 1, 1)
    steps = [event.step for event in run_events(run.id) if event.phase == "update"]
    assert steps == list(range(1, 21))  # nothing reported meanwhile was lost


def test_a_result_waits_for_the_database(behave, order, monkeypatch):
    """The connection is lost after the child has ended, before its result is taken in."""
    behave(updates=1)
    run = order()

    def lose_and_read(run):
        monkeypatch.setattr(execution, "manifest_read", manifest_read)
        connection_end()
        return manifest_read(run)

    monkeypatch.setattr(execution, "manifest_read", lose_and_read)
    assert run_execute(run_id=run.id, owner="w").state == "succeeded"
    assert len(attempts(run.directory)) == 1


def connection_end():
    """The server ends this test's connection, as it does when it is restarted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


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
    environment = product_environment(
        tmp_path / "var", OUTERLOOP_LEASE_SECONDS="5", OUTERLOOP_HEARTBEAT_SECONDS="1"
    )
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
