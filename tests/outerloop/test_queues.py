"""What takes long has a queue of its own, and every queue has a worker: a sweep waits behind no import."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django_celery_beat.models import PeriodicTask

from annotation.exchange import tasks
from outerloop.celery import app
from outerloop.processes.lines import process_lines
from outerloop.rounds.broker import QUEUES
from outerloop.rounds.schedule import sweeper_ensure


def queue_of(task: str) -> str:
    route = app.amqp.router.route({}, task)
    return str(route["queue"].name)


def queues_of(command: list[str]) -> set[str]:
    return (
        set(command[command.index("--queues") + 1].split(",")) if "--queues" in command else set()
    )


def test_imports_and_exports_wait_apart_from_sweeps_and_steps():
    app.loader.import_default_modules()
    apart = {
        *("exchange.import_run", "exchange.export_run"),
        *("publishing.push_run", "rounds.task_check", "operations.retention"),
    }
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert apart <= ours
    assert {name for name in ours if queue_of(name) == "files"} == apart


@pytest.mark.django_db
def test_the_schedule_sends_no_sweep_to_the_queue_of_the_files():
    sweeper_ensure()
    queues = dict(PeriodicTask.objects.filter(queue__isnull=False).values_list("task", "queue"))
    assert queues == {
        "rounds.sweep": "default", "comparisons.sweep_leases": "default",
        "comparisons.count_labels": "default", "exchange.sweep": "default", "operations.retention": "files",
        "quality.measure_again": "default", "webhooks.send": "webhooks",
        "publishing.sweep": "default",
    }  # fmt: skip


def test_every_queue_has_a_worker_however_the_processes_are_started():
    by_up = [list(line.command) for line in process_lines()]
    procfile = Path(settings.BASE_DIR, "docker", "Procfile").read_text().splitlines()
    for commands in (by_up, [line.split() for line in procfile]):
        assert set().union(*(queues_of(command) for command in commands)) == set(QUEUES)


def test_messages_of_a_job_that_waits_do_not_heap_up():
    """The sweep sends one every ten seconds; each lives for a minute, so that at most six wait."""
    assert (tasks.import_run.expires, tasks.export_run.expires) == (60, 60)
