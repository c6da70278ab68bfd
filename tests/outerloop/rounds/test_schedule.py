"""The nightly start, in the line's own time zone."""

from __future__ import annotations

import json
import zoneinfo
from datetime import UTC, datetime, time

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from outerloop.celery import app as celery_app
from outerloop.rounds import tasks
from outerloop.rounds.models import State
from outerloop.rounds.schedule import (
    SWEEPERS,
    messages_purge,
    next_start,
    schedule_save,
    scheduled_start,
    sweeper_ensure,
)
from tests.outerloop.rounds.world import bare_line, known
from tests.support.workers import database_broker
from web.models import AuditEvent


def scheduled(line, **fields):
    for name, value in {"schedule_enabled": True, **fields}.items():
        setattr(line, name, value)
    schedule_save(line=line, actor="eve")
    return line


def at(line, *moment):
    """When the schedule fires next, as UTC, seen from a moment in UTC."""
    now = datetime(*moment).replace(tzinfo=UTC)
    return known(next_start(line, now=now)).astimezone(UTC)


@pytest.mark.django_db
def test_one_periodic_task_a_line_says_what_the_line_says():
    line = scheduled(
        bare_line(),
        schedule_time=time(23, 5),
        schedule_time_zone="Europe/Berlin",
        schedule_days="1,2,3,4,5",
    )
    task = PeriodicTask.objects.get()
    assert (task.task, json.loads(task.args), task.queue) == (
        "rounds.nightly", [str(line.id)], "default",
    )  # fmt: skip
    crontab = task.crontab
    assert (crontab.hour, crontab.minute, crontab.day_of_week) == ("23", "5", "1,2,3,4,5")
    assert str(crontab.timezone) == "Europe/Berlin"
    scheduled(line, schedule_enabled=False, schedule_time=time(1, 30))
    task = PeriodicTask.objects.get()
    assert (task.enabled, task.crontab.hour) == (False, "1")
    event = AuditEvent.objects.filter(verb="changed schedule").latest("at")
    assert event.detail["time"] == "01:30:00"


@pytest.mark.django_db
def test_two_lines_have_a_task_each():
    for _ in range(2):
        scheduled(bare_line())
    assert PeriodicTask.objects.count() == 2


@pytest.mark.django_db
def test_an_unknown_time_zone_is_named_and_nothing_is_saved():
    line = bare_line()
    with pytest.raises(ValidationError, match="'Europe/Berlinn' is no time zone; use a name such"):
        scheduled(line, schedule_time_zone="Europe/Berlinn")
    assert not PeriodicTask.objects.exists()


@pytest.mark.django_db
def test_beat_fires_when_the_page_says():
    """The periodic task's own reckoning agrees with what people are shown."""
    line = scheduled(bare_line(), schedule_time=time(2, 0), schedule_time_zone="America/New_York")
    due = PeriodicTask.objects.get().schedule
    now = timezone.now()
    shown = (known(next_start(line, now=now)) - now).total_seconds()
    assert due.remaining_estimate(now).total_seconds() == pytest.approx(shown, abs=61)


@pytest.mark.django_db
def test_each_sweeper_has_one_task_however_often_it_is_asked_for():
    for _ in range(2):
        sweeper_ensure()
    tasks = PeriodicTask.objects.all()
    assert sorted(task.task for task in tasks) == [
        "comparisons.count_labels",
        "comparisons.sweep_leases",
        "exchange.sweep",
        "operations.retention",
        "publishing.sweep",
        "quality.measure_again",
        "rounds.sweep",
        "webhooks.send",
    ]
    sweeps = [task for task in tasks if task.task != "operations.retention"]
    assert {str(task.interval) for task in sweeps} == {"every 10 seconds"}
    celery_app.loader.import_default_modules()  # as a worker does
    assert {task.task for task in tasks} <= set(celery_app.tasks)


@pytest.mark.django_db
def test_the_next_start_is_the_line_s_own_two_o_clock():
    line = scheduled(bare_line(), schedule_time=time(2, 0), schedule_time_zone="America/New_York")
    assert at(line, 2026, 1, 15, 6, 59) == datetime(2026, 1, 15, 7, 0, tzinfo=UTC)  # UTC-5
    assert at(line, 2026, 1, 15, 7, 0) == datetime(2026, 1, 16, 7, 0, tzinfo=UTC)
    line.schedule_time_zone = "Asia/Kolkata"  # UTC+5:30
    assert at(line, 2026, 1, 15, 12, 0) == datetime(2026, 1, 15, 20, 30, tzinfo=UTC)


@pytest.mark.django_db
def test_only_the_chosen_days_count():
    line = scheduled(bare_line(), schedule_days="0", schedule_time=time(2, 0))  # Sundays
    assert at(line, 2026, 3, 2, 12) == datetime(2026, 3, 8, 2, tzinfo=UTC)
    line.schedule_days = "1,2,3,4,5"
    assert at(line, 2026, 3, 6, 12) == datetime(2026, 3, 9, 2, tzinfo=UTC)  # Friday to Monday


@pytest.mark.django_db
def test_the_wall_time_stays_when_clocks_change():
    """Berlin, 29 March 2026: from +1 to +2 at 02:00; 25 October: back at 03:00."""
    line = scheduled(bare_line(), schedule_time=time(4, 0), schedule_time_zone="Europe/Berlin")
    assert at(line, 2026, 3, 28, 0) == datetime(2026, 3, 28, 3, tzinfo=UTC)
    assert at(line, 2026, 3, 28, 4) == datetime(2026, 3, 29, 2, tzinfo=UTC)
    assert at(line, 2026, 10, 24, 3) == datetime(2026, 10, 25, 3, tzinfo=UTC)


@pytest.mark.django_db
def test_a_time_that_the_night_skips_comes_an_hour_later():
    line = scheduled(bare_line(), schedule_time=time(2, 30), schedule_time_zone="Europe/Berlin")
    found = next_start(line, now=datetime(2026, 3, 29, 0, tzinfo=UTC))
    assert found == datetime(2026, 3, 29, 3, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    assert found.astimezone(UTC).hour == 1


@pytest.mark.django_db
def test_a_time_that_comes_twice_counts_once():
    line = scheduled(bare_line(), schedule_time=time(2, 45), schedule_time_zone="Europe/Berlin")
    assert at(line, 2026, 10, 25, 0, 30) == datetime(2026, 10, 25, 0, 45, tzinfo=UTC)
    # 02:30 for the second time: today's start is over, though the clock reads less
    assert at(line, 2026, 10, 25, 1, 30) == datetime(2026, 10, 26, 1, 45, tzinfo=UTC)


@pytest.mark.django_db
def test_a_schedule_switched_off_has_no_next_start_and_starts_nothing(loop):
    scheduled(loop.line, schedule_enabled=False)
    assert next_start(loop.line) is None
    assert scheduled_start(loop.line.id) is None
    assert not loop.line.start_attempts.exists()


def test_a_night_starts_a_round_and_tells_a_worker(loop, sent):
    scheduled(loop.line)
    tasks.nightly(str(loop.line.id))
    round_ = loop.line.rounds.get()
    assert (round_.trigger, round_.started_by) == ("schedule", None)
    assert sent == [(str(round_.id), "default")]


def test_a_night_that_finds_the_round_waiting_is_skipped_and_leaves_a_row(loop, sent):
    scheduled(loop.line)
    loop.round(State.AWAITING_LABELS)
    tasks.nightly(str(loop.line.id))
    (attempt,) = loop.line.start_attempts.all()
    assert attempt.reason == "Round 1 is still active (waiting for labels)."
    assert (attempt.trigger, attempt.round) == ("schedule", None)
    assert loop.line.rounds.count() == 1
    assert sent == []


def test_a_night_with_too_few_labels_is_skipped_and_leaves_a_row(loop, sent):
    scheduled(loop.line, minimum_fresh_labels=200)
    tasks.nightly(str(loop.line.id))
    assert "3 new labels" in loop.line.start_attempts.get().reason
    assert sent == []


@pytest.fixture
def broker(transactional_db, settings):
    with database_broker() as made:
        settings.CELERY_BROKER_URL = made.as_uri()
        yield made


def test_fetched_messages_are_deleted_after_a_day_and_waiting_ones_never(broker):
    queue = broker.SimpleQueue("default")
    for word in ("old and fetched", "fetched", "old and waiting", "waiting"):
        queue.put(word)
    for _ in range(2):
        queue.get(timeout=5).ack()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE kombu_message SET timestamp = now() AT TIME ZONE 'UTC' - interval '25 hours'"
            " WHERE id IN (SELECT min(id) FROM kombu_message WHERE NOT visible)"
            " OR id IN (SELECT min(id) FROM kombu_message WHERE visible)"
        )
        assert messages_purge() == 1
        cursor.execute("SELECT count(*) FILTER (WHERE visible), count(*) FROM kombu_message")
        assert cursor.fetchone() == (2, 3)
    assert messages_purge() == 0


@pytest.mark.django_db
def test_another_broker_is_left_alone(settings):
    settings.CELERY_BROKER_URL = "redis://localhost:6379/0"
    assert messages_purge() == 0


@pytest.mark.django_db
def test_a_broker_that_was_never_used_has_nothing_to_delete(settings):
    settings.CELERY_BROKER_URL = "sqla+postgresql://"
    assert messages_purge() == 0


@pytest.mark.django_db
def test_how_often_an_operator_lets_a_sweeper_or_retention_run_outlives_the_next_start():
    sweeper_ensure()
    hourly = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.filter(name="retention").update(crontab=None, interval=hourly)
    PeriodicTask.objects.filter(name__in=SWEEPERS).update(interval=hourly, queue="elsewhere")
    sweeper_ensure()
    kept = PeriodicTask.objects.filter(name__in=[*SWEEPERS, "retention"])
    assert {task.interval for task in kept} == {hourly}
    queues = dict(kept.exclude(name="retention").values_list("task", "queue"))
    assert queues.pop("webhooks.send") == "webhooks"
    assert set(queues.values()) == {"default"}
