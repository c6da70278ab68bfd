"""Reads of history on a real standby: PostgreSQL 15's own streaming replication, on loopback.

The product runs as a program of its own, as behind a web server; the primary, the standby and what lies
between them are taken away while it does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.postgres import PostgresServer, StandbyServer, debian_binaries

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).resolve().parents[2]

BEGIN = """
import sys
import django; django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from outerloop.database import replica as module
from web.models import AuditEvent
from web.services import audit_record
settings.ALLOWED_HOSTS = ["*"]

def asked(client, path="/audit/"):
    "The status, how many statements the replica was sent for the page, and whether it shows `thing N`."
    copy = connections["replica"]
    copy.force_debug_cursor = True
    copy.queries_log.clear()
    answer = client.get(path)
    read = [q["sql"] for q in copy.queries_log if 'FROM "web_auditevent"' in q["sql"]]
    return answer.status_code, len(read), answer.content.decode()

def signed_in():
    lead = get_user_model().objects.get(username="lea")
    client = Client()
    client.force_login(lead)
    return client
"""
SET_UP = """
call_command("migrate", verbosity=0)
call_command("prepare", verbosity=0)
from tests.support.people import person_create
person_create("lea", "lead")
audit_record(actor="lea", verb="did", target="thing 1")
"""
CLOSE_BEHIND = """
assert module.replica.fresh()
status, read, page = asked(signed_in())
assert (status, "thing 1" in page) == (200, True), (status, page[:500])
assert read >= 1, "the replica was not asked"
status, read, page = asked(signed_in())
client = signed_in()
client.post("/notices/read/")
assert client.cookies["outerloop_wrote"]["max-age"] == 9
status, read, page = asked(client)
assert (status, read) == (200, 0), "who has just written is not shown a copy"
call_command("doctor")
"""
WRITES = """
from web.history import history_read
from django.db import transaction

def write():
    before = AuditEvent.objects.count()
    row = AuditEvent.objects.order_by("at").last()
    assert row._state.db == "replica", row._state.db
    with transaction.atomic():
        audit_record(actor="lea", verb="did", target="thing in a reading")
        assert AuditEvent.objects.using("default").count() == before + 1

assert module.replica.fresh()
history_read(write)
# what was written a moment before is in a reading that must have it, and `iterator` reads in pieces there
audit_record(actor="lea", verb="did", target="thing of just now")
found = history_read(lambda: [(each.target, each._state.db) for each in AuditEvent.objects.iterator(chunk_size=1)],
                     fresh=True)
assert ("thing of just now", "replica") in found, found
"""
AWAY = """
status, read, page = asked(signed_in())
assert (status, read, "thing 1" in page) == (200, 0, True), (status, read)
said = module.replica.standing().says
print(said)
assert not module.replica.standing().usable
call_command("doctor")
"""
FOLLOWS = """
import time
until = time.monotonic() + 60
while not module.replica.fresh():
    assert time.monotonic() < until, module.replica.standing()
    time.sleep(0.5)
"""
KILLED_BETWEEN = """
client = signed_in()
assert module.replica.standing().usable
assert asked(client)[1] >= 1
print("ready", flush=True)
sys.stdin.readline()
status, read, page = asked(client)
assert (status, "thing 1" in page) == (200, True), status
assert not module.replica.standing().usable
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, StandbyServer]]:
    binaries = debian_binaries()
    if binaries is None:
        pytest.skip(
            "PostgreSQL 15's own programs are missing; on Debian: apt install postgresql-15"
        )
    with PostgresServer(binaries, durable=False) as primary, StandbyServer(primary) as standby:
        primary.execute("CREATE DATABASE loop")
        yield primary, standby


@pytest.fixture(scope="module")
def surroundings(
    servers: tuple[PostgresServer, StandbyServer], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    primary, standby = servers
    folder = tmp_path_factory.mktemp("replica")
    found = {
        "DJANGO_SETTINGS_MODULE": "outerloop.settings.dev",
        "DATABASE_URL": primary.url("loop"),
        "DATABASE_REPLICA_URL": standby.url("loop") + "?application_name=history",
        "CELERY_BROKER_URL": "",
        "OUTERLOOP_VAR": str(folder / "var"),
        "OUTERLOOP_ARTIFACTS": str(folder / "artifacts"),
    }
    done = carried_out(SET_UP, found)
    assert done.returncode == 0, done.stderr[-3000:]
    return found


def carried_out(code: str, surroundings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code], cwd=CHECKOUT, env={**os.environ, **surroundings},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def said_well(code: str, surroundings: dict[str, str]) -> str:
    done = carried_out(code, surroundings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_history_is_read_there_and_nothing_else(surroundings: dict[str, str]) -> None:
    said = said_well(CLOSE_BEHIND, surroundings)
    assert "ok    Replica: answers reads of history. It is 0 s behind." in said
    said_well(WRITES, surroundings)


def test_one_that_lags_is_not_read(
    servers: tuple[PostgresServer, StandbyServer], surroundings: dict[str, str]
) -> None:
    """The standby holds still: it is there and answers, and what it shows grows old."""
    primary, standby = servers
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        primary.execute_in("loop", "CREATE TABLE IF NOT EXISTS later (at timestamptz)")
        time.sleep(2.1)
        code = "settings.OUTERLOOP_REPLICA_SECONDS = 1\n" + AWAY
        said = said_well(code, surroundings)
        assert "s behind, more than OUTERLOOP_REPLICA_SECONDS (1)." in said
        assert "note  Replica: It is " in said
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
    said_well(CLOSE_BEHIND, surroundings)


def test_one_that_lost_its_primary_is_behind_though_it_has_replayed_all_it_got(
    servers: tuple[PostgresServer, StandbyServer], surroundings: dict[str, str]
) -> None:
    primary, standby = servers
    before = str(standby.asked("SHOW primary_conninfo")).replace("'", "''")
    standby.execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
    standby.execute("SELECT pg_reload_conf()")
    try:
        eventually(lambda: primary.asked("SELECT count(*) FROM pg_stat_replication") == 0)
        primary.execute_in("loop", "CREATE TABLE IF NOT EXISTS lost (at timestamptz)")
        time.sleep(2.1)
        said = said_well("settings.OUTERLOOP_REPLICA_SECONDS = 1\n" + AWAY, surroundings)
        assert "note  Replica: It is " in said
    finally:
        standby.execute(f"ALTER SYSTEM SET primary_conninfo = '{before}'")
        standby.execute("SELECT pg_reload_conf()")


def test_one_that_is_killed_between_two_pages_costs_nobody_an_error(
    servers: tuple[PostgresServer, StandbyServer], surroundings: dict[str, str]
) -> None:
    _, standby = servers
    said_well(FOLLOWS, surroundings)
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + KILLED_BETWEEN], cwd=CHECKOUT,
        env={**os.environ, **surroundings}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline().strip() == "ready"
        standby.kill()
        _, errors = program.communicate("go\n", timeout=120)
    assert program.returncode == 0, errors[-3000:]
    done = carried_out(AWAY, surroundings)
    assert "It does not answer" in done.stdout
    assert "BAD   Replica: It does not answer" in done.stdout
    standby.start()


@pytest.mark.parametrize("wrong", ["itself", "another"])
def test_a_server_that_is_no_copy_is_not_read(
    wrong: str, servers: tuple[PostgresServer, StandbyServer], surroundings: dict[str, str]
) -> None:
    primary, _ = servers
    if wrong == "itself":
        said = carried_out(AWAY, {**surroundings, "DATABASE_REPLICA_URL": primary.url("loop")})
        assert "BAD   Replica: DATABASE_REPLICA_URL leads to no standby" in said.stdout
        return
    with PostgresServer(primary.binaries, durable=False) as other:
        found = {**surroundings, "DATABASE_REPLICA_URL": other.url("postgres")}
        said = carried_out(AWAY, found)
    assert "BAD   Replica: DATABASE_REPLICA_URL leads to a copy of another server" in said.stdout


def eventually(holds: Any) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_server_of_the_test_is_a_standby(
    servers: tuple[PostgresServer, StandbyServer],
) -> None:
    """So that the tests above can fail."""
    _, standby = servers
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        standby.execute_in("loop", "CREATE TABLE x (y int)")
