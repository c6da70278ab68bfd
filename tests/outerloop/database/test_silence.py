"""A database that is there and says nothing costs a stated time, whoever asks."""

from __future__ import annotations

import time

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections
from django.test import RequestFactory

from outerloop.database.pages import page_patience
from outerloop.database.silence import BoundedConnection, database_patience
from tests.support.postgres_relay import silent_way
from tests.support.silent import silent_server

pytestmark = pytest.mark.django_db(transaction=True)


def seconds(act, *errors):
    began = time.monotonic()
    with pytest.raises(errors) as raised:
        act()
    return time.monotonic() - began, str(raised.value)


def own_place() -> tuple[str, int] | str:
    """Where the database of the tests listens: a socket file, or host and port."""
    host, port = connection.settings_dict["HOST"], int(connection.settings_dict["PORT"] or 5432)
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host or "127.0.0.1", port)


def test_connecting_to_a_server_that_never_greets_ends():
    with silent_server() as port:
        own = connections["default"].copy()
        own.settings_dict = {**own.settings_dict, "HOST": "127.0.0.1", "PORT": str(port)}
        took, _ = seconds(own.ensure_connection, OperationalError)
    assert took < 60  # connect_timeout is 3 s


def test_a_statement_without_an_answer_ends_and_the_connection_with_it():
    with silent_way(own_place()) as way:
        own = connections["default"].copy()
        own.settings_dict = {**own.settings_dict, "HOST": "127.0.0.1", "PORT": str(way.port)}
        with own.cursor() as cursor:
            cursor.execute("SELECT 1")
        way.open.clear()
        with database_patience(0.5):
            took, said = seconds(lambda: own.cursor().execute("SELECT 2"), OperationalError)
        assert 0.4 < took < 60
        assert "silent for 0.5 s" in said
        assert own.connection.closed
        way.open.set()
        own.close()
        with own.cursor() as cursor:  # the next one connects anew
            cursor.execute("SELECT 3")
            assert cursor.fetchone() == (3,)
        own.close()


def test_an_answer_that_comes_in_pieces_is_waited_for():
    """Silence is measured, not the length of a statement."""
    with database_patience(1.0), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM generate_series(1, 10)")
        assert cursor.fetchone() == (10,)
        pieces = "SELECT n, repeat('x', 200000), pg_sleep(0.1) FROM generate_series(1, 25) AS n"
        cursor.execute(pieces)
        assert len(cursor.fetchall()) == 25


def test_a_slow_statement_is_cancelled_on_the_server():
    with database_patience(0.3), pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30), 'told apart by this text'")
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND query LIKE '%told apart by%' AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone() == (0,)


def test_the_site_and_the_broker_in_the_database_connect_in_this_way():
    connection.ensure_connection()
    assert isinstance(connection.connection, BoundedConnection)
    from tests.support.workers import database_broker

    with database_broker() as broker:
        session = broker.default_channel.session
        assert isinstance(session.connection().connection.dbapi_connection, BoundedConnection)


def test_a_page_has_the_patience_of_its_setting(settings):
    settings.OUTERLOOP_PAGE_SECONDS = 0.3

    def view(request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")

    request = RequestFactory().get("/")
    took, _ = seconds(lambda: page_patience(view)(request), OperationalError)
    assert took < 15
    connection.close()


def test_what_psycopg_itself_refuses_is_raised_as_before():
    with pytest.raises(psycopg.errors.UndefinedTable), psycopg_connection() as made:
        made.execute("SELECT * FROM no_such_table")


def psycopg_connection() -> BoundedConnection:
    params = connection.get_connection_params()
    for name in ("context", "cursor_factory", "prepare_threshold"):
        params.pop(name, None)
    return BoundedConnection.connect(**params)


def slow_statement(*args, **kwargs):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.8)")
    raise CommandError("It came to its end.")


@pytest.mark.parametrize(
    ("command", "work", "arguments"),
    [
        ("migrate", "django.core.management.commands.migrate.emit_pre_migrate_signal", []),
        ("prepare", "outerloop.processes.preparing.sweeper_ensure", []),
        ("backup", "outerloop.operations.management.commands.backup.backup_make", ["/nowhere"]),
        ("restore", "outerloop.operations.management.commands.restore.backup_verify",
         ["/nowhere", "--verify"]),
    ],
)  # fmt: skip
def test_commands_whose_statements_grow_with_the_tables_wait_without_an_end(
    monkeypatch, settings, command, work, arguments
):
    settings.OUTERLOOP_DATABASE_SECONDS = 0.2
    monkeypatch.setattr(work, slow_statement)
    with pytest.raises(CommandError, match="It came to its end"):
        call_command(command, *arguments)


def test_what_ends_a_statement_names_the_setting(settings):
    settings.OUTERLOOP_DATABASE_SECONDS = settings.OUTERLOOP_PAGE_SECONDS = 0.2
    with pytest.raises(OperationalError, match=r"0\.2 s\. Raise OUTERLOOP_DATABASE_SECONDS"):
        slow_statement()
    connection.close()
    with pytest.raises(OperationalError, match="Raise OUTERLOOP_PAGE_SECONDS"):
        page_patience(slow_statement)(RequestFactory().get("/"))
    connection.close()


def test_no_patience_at_all_is_not_the_longest_one():
    with database_patience(0), pytest.raises(OperationalError, match="silent for 0 s"):
        slow_statement()
    connection.close()
