"""Each thing that a site needs is checked by name, and a missing one makes it not ready."""

from __future__ import annotations

import time
from threading import Event, Thread

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import OperationalError
from django_celery_beat.models import PeriodicTask

from outerloop.operations.management.commands import health as command
from outerloop.operations.monitoring import health, views
from outerloop.rounds.schedule import sweeper_ensure
from tests.support.silent import silent_server
from training.facade import store_enter

pytestmark = pytest.mark.django_db(transaction=True)
LOOK_SECONDS = health.LOOK_SECONDS  # the product's own, before a test waits longer


@pytest.fixture(autouse=True)
def place(settings, tmp_path, monkeypatch):
    """A store of the test's own, a schedule, and answers that are made anew at each question, and
    waited for longer than a busy machine takes."""
    monkeypatch.setattr(health, "LOOK_SECONDS", 8)
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    store_enter()
    sweeper_ensure()
    for module in (views, command):
        monkeypatch.setattr(module, "readiness", lambda: health.Readiness()())


def asked(client):
    response = client.get("/health/ready")
    return response.status_code, response.json()


def test_a_stranger_learns_that_all_is_well(client):
    status, body = asked(client)
    assert (status, body["status"]) == (200, "ready")
    assert {name for name, check in body["checks"].items() if check["ok"]} == {
        "database", "migrations", "sweeper", "broker", "artifact store",
    }  # fmt: skip


def test_a_waiting_migration_is_counted(client):
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("web", "0002_audit_append_only")
    try:
        status, body = asked(client)
    finally:
        recorder.record_applied("web", "0002_audit_append_only")
    assert status == 503
    assert body["checks"]["migrations"] == {
        "ok": False, "says": "1 wait; run manage.py migrate.",
    }  # fmt: skip


def test_a_database_newer_than_the_code_is_told_and_requests_are_still_answered(client, capsys):
    """As in a rolling update, when some processes are of the release before."""
    recorder = MigrationRecorder(connection)
    recorder.record_applied("web", "0999_of_tomorrow")
    recorder.record_applied("an_app_that_is_gone", "0001_initial")
    try:
        status, body = asked(client)
        call_command("health")
    finally:
        recorder.record_unapplied("web", "0999_of_tomorrow")
        recorder.record_unapplied("an_app_that_is_gone", "0001_initial")
    assert (status, body["status"]) == (200, "ready")
    assert "note migrations: The database is newer" in capsys.readouterr().out
    assert body["checks"]["migrations"] == {
        "ok": False, "says": "The database is newer than this code, by 1; bring the code up to date.",
    }  # fmt: skip


def test_a_schedule_without_its_sweeper_is_told_and_requests_are_still_answered(client):
    PeriodicTask.objects.filter(name="sweep rounds").update(enabled=False)
    PeriodicTask.objects.filter(name="sweep leases").delete()
    status, body = asked(client)
    assert (status, body["status"]) == (200, "ready")
    assert body["checks"]["sweeper"] == {
        "ok": False, "says": "sweep leases, sweep rounds not in the schedule, or switched off; run"
        " manage.py prepare, or switch it on again.",
    }  # fmt: skip
    call_command("prepare")
    PeriodicTask.objects.filter(name="sweep rounds").update(enabled=True)
    assert asked(client)[1]["checks"]["sweeper"]["ok"]


def test_a_broker_that_is_not_there_is_named(client, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    status, body = asked(client)
    assert status == 503
    assert [name for name, check in body["checks"].items() if not check["ok"]] == ["broker"]
    assert "CELERY_BROKER_URL" in body["checks"]["broker"]["says"]


def test_a_store_that_is_not_there_is_named_and_not_made(client, settings, tmp_path):
    settings.ARTIFACT_ROOT = tmp_path / "share"
    for _ in range(2):
        status, body = asked(client)
        assert status == 503
        assert not body["checks"]["artifact store"]["ok"]
    assert not (tmp_path / "share").exists()
    assert str(tmp_path) not in str(body)  # where things lie is nobody else's business


def test_without_a_database_it_says_so_and_the_process_is_still_alive(client, monkeypatch):
    def silent(*args, **kwargs):
        raise OperationalError("connection to server at 10.1.2.3 failed")

    monkeypatch.setattr("outerloop.database.base.DatabaseWrapper.cursor", silent)
    status, body = asked(client)
    assert status == 503
    failing = {name for name, check in body["checks"].items() if not check["ok"]}
    assert failing == {"database", "migrations", "sweeper"}
    assert "10.1.2.3" not in str(body)
    assert client.get("/health/live").json() == {"status": "live"}


def test_a_probe_is_answered_within_two_seconds_whatever_hangs():
    """What hangs is waited for no longer than this, as the tests below show, and the rest takes no time."""
    assert LOOK_SECONDS <= 1.5


def test_liveness_asks_nobody(client, django_assert_num_queries):
    client.cookies["sessionid"] = "x" * 32
    with django_assert_num_queries(0):
        assert client.get("/health/live").status_code == 200


def test_many_callers_cost_one_look():
    now, looks = [0.0], []

    def look():
        looks.append(now[0])
        return health.HealthCheck("a", True, "well")

    recent = health.Readiness(clock=lambda: now[0], groups=({"a": look},))
    for moment in (0.0, 0.2, 2.9, 3.5):
        now[0] = moment
        assert recent() == (health.HealthCheck("a", True, "well"),)
    assert looks == [0.0, 3.5]


def test_what_hangs_is_named_in_time_and_started_once(monkeypatch):
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.3)
    now, hang, started = [0.0], Event(), []

    def hanging():
        started.append(now[0])
        hang.wait(20)
        return health.HealthCheck("a", True, "at last")

    def well():
        return health.HealthCheck("b", True, "well")

    recent = health.Readiness(clock=lambda: now[0], groups=({"a": hanging}, {"b": well}))
    try:
        for moment in (0.0, 10.0, 20.0):
            now[0] = moment
            began = time.monotonic()
            a, b = recent()
            assert time.monotonic() - began < 15
            assert (a.ok, a.says, b.ok) == (False, "No answer within 0.3 s.", True)
        assert started == [0.0]
    finally:
        hang.set()
    recent._hanging[0].thread.join()
    now[0] = 30.0
    assert all(check.ok for check in recent())


def test_callers_beside_one_who_looks_are_given_the_last_answer(monkeypatch):
    now, hang, looking = [0.0], Event(), Event()
    hang.set()

    def look():
        looking.set()
        hang.wait(20)
        return health.HealthCheck("a", True, "well")

    recent = health.Readiness(clock=lambda: now[0], groups=({"a": look},))
    recent()
    now[0] = 5.0
    hang.clear()
    looking.clear()
    first = Thread(target=recent)
    first.start()
    assert looking.wait(5)
    assert [recent()[0].says for _ in range(12)] == ["well"] * 12
    assert first.is_alive(), "the twelve waited for the look that was under way"
    hang.set()
    first.join()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_hangs_is_named_in_time(client, settings, scheme):
    with silent_server() as port:
        settings.CELERY_BROKER_URL = f"{scheme}://127.0.0.1:{port}/0"
        began = time.monotonic()
        status, body = asked(client)
        assert time.monotonic() - began < 15
    assert status == 503
    assert [name for name, check in body["checks"].items() if not check["ok"]] == ["broker"]


def test_a_database_that_hangs_is_named_in_time(client, settings, monkeypatch):
    # The product's own: connecting gives up by itself later.
    monkeypatch.setattr(health, "LOOK_SECONDS", LOOK_SECONDS)
    with silent_server() as port:
        own = connections.settings["default"]
        there = {**own, "HOST": "127.0.0.1", "PORT": str(port)}
        connections.settings["default"] = there
        try:
            began = time.monotonic()
            status, body = asked(client)
            assert time.monotonic() - began < 15
            assert client.get("/health/live").status_code == 200
        finally:
            connections.settings["default"] = own
    assert status == 503
    assert body["checks"]["database"] == {"ok": False, "says": "No answer within 1.5 s."}


def test_the_answers_are_not_kept_by_anybody(client):
    assert "no-store" in client.get("/health/ready")["Cache-Control"]
    assert client.post("/health/live").status_code == 405


def test_the_command_says_the_same_and_ends_with_1_when_one_fails(settings, capsys):
    call_command("health")
    assert capsys.readouterr().out.count("ok ") == 5
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(SystemExit) as ended:
        call_command("health")
    assert ended.value.code == 1
    assert "BAD  broker: It does not answer; see CELERY_BROKER_URL." in capsys.readouterr().out
