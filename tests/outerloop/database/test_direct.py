"""What outlives a transaction goes past a pooler: locks, cursors outside of a transaction, backups."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.expressions import RawSQL

from annotation.accounts.models import User
from outerloop.database.direct import session_of_its_own
from outerloop.operations.backup import tables
from outerloop.operations.locks import KEY, maintenance_lock
from tests.support.fake_runs import eventually
from tests.support.people import person_create

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "past the pooler"


@pytest.fixture(autouse=True)
def direct(settings: Any) -> None:
    """The database of the tests, under a name by which its sessions are known."""
    own = {k: connection.settings_dict[k] for k in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    options = {**connection.settings_dict["OPTIONS"], "application_name": NAME}
    settings.DATABASE_DIRECT = {**own, "OPTIONS": options}


def sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [NAME])
        return int(cursor.fetchone()[0])


def all_ended() -> bool:
    """The server notices the end of a connection a moment after its caller went on."""
    return bool(eventually(lambda: sessions() == 0, seconds=10))


def rows() -> Any:
    """Whose session reads each row."""
    name = RawSQL("current_setting('application_name')", [])
    return User.objects.annotate(session=name).values_list("session", flat=True)


def test_rows_in_pieces_are_read_past_the_pooler_where_no_transaction_holds_the_session():
    for name in ("ann", "bob", "eve"):
        person_create(name)
    assert list(rows().iterator(chunk_size=1)) == [NAME] * 3
    assert set(rows()) == {""}
    with transaction.atomic():
        person_create("new")  # seen by its own transaction alone
        assert list(rows().iterator(chunk_size=1)) == [""] * 4
    assert all_ended()


def test_an_iterator_that_is_left_gives_its_session_back():
    for name in ("ann", "bob", "eve"):
        person_create(name)
    found = rows().iterator(chunk_size=1)
    assert next(found) == NAME
    assert sessions() == 1
    del found
    assert all_ended()


def test_the_maintenance_lock_and_a_backup_have_such_a_session():
    with maintenance_lock("a test"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND (classid::bigint << 32) + objid::bigint = %s",
            [KEY],
        )
        assert cursor.fetchall() == [(NAME,)]
    with tables.snapshot_connection() as raw:
        assert raw.info.parameter_status("application_name") == NAME
    assert all_ended()


def test_without_the_setting_it_is_a_second_connection_to_the_same_place(settings: Any):
    settings.DATABASE_DIRECT = {}
    with session_of_its_own() as own, own.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_database()::text")
        process, database = cursor.fetchone()
    assert database == connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone()[0] != process
    person_create("ann")
    assert list(rows().iterator()) == [""]
