"""Each thing that a site needs is checked by name, and a missing one makes it not ready."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import OperationalError

from outerloop.operations.monitoring import health, views

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path, monkeypatch):
    """A store of the test's own, and answers that are made anew at each question."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    monkeypatch.setattr(views, "recent_readiness", health.readiness)


def asked(client):
    response = client.get("/health/ready")
    return response.status_code, response.json()


def test_a_stranger_learns_that_all_is_well(client):
    status, body = asked(client)
    assert (status, body["status"]) == (200, "ready")
    assert {name for name, check in body["checks"].items() if check["ok"]} == {
        "database", "migrations", "broker", "artifact store",
    }  # fmt: skip


def test_a_waiting_migration_is_counted(client):
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("web", "0002_audit_append_only")
    status, body = asked(client)
    assert status == 503
    assert body["checks"]["migrations"] == {
        "ok": False, "says": "1 wait; run manage.py migrate.",
    }  # fmt: skip


def test_a_broker_that_is_not_there_is_named(client, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    status, body = asked(client)
    assert status == 503
    assert [name for name, check in body["checks"].items() if not check["ok"]] == ["broker"]
    assert "CELERY_BROKER_URL" in body["checks"]["broker"]["says"]


def test_a_store_that_cannot_be_written_is_named(client, settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings.ARTIFACT_ROOT = tmp_path / "file" / "artifacts"
    status, body = asked(client)
    assert status == 503
    assert not body["checks"]["artifact store"]["ok"]
    assert str(tmp_path) not in str(body)  # where things lie is nobody else's business


def test_without_a_database_it_says_so_and_the_process_is_still_alive(client, monkeypatch):
    def silent(*args, **kwargs):
        raise OperationalError("connection to server at 10.1.2.3 failed")

    monkeypatch.setattr(connection, "cursor", silent)
    status, body = asked(client)
    assert status == 503
    failing = {name for name, check in body["checks"].items() if not check["ok"]}
    assert failing == {"database", "migrations"}
    assert "10.1.2.3" not in str(body)
    assert client.get("/health/live").json() == {"status": "live"}


def test_many_callers_cost_one_look(monkeypatch):
    now, looks = [0.0], []

    def look():
        looks.append(now[0])
        return ()

    monkeypatch.setattr(health, "readiness", look)
    recent = health.Readiness(clock=lambda: now[0])
    for moment in (0.0, 0.2, 0.9, 1.5):
        now[0] = moment
        recent()
    assert looks == [0.0, 1.5]


def test_the_answers_are_not_kept_by_anybody(client):
    assert "no-store" in client.get("/health/ready")["Cache-Control"]
    assert client.post("/health/live").status_code == 405


def test_the_command_says_the_same_and_ends_with_1_when_one_fails(settings, capsys):
    call_command("health")
    assert capsys.readouterr().out.count("ok ") == 4
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(SystemExit) as ended:
        call_command("health")
    assert ended.value.code == 1
    assert "BAD  broker: It does not answer; see CELERY_BROKER_URL." in capsys.readouterr().out
