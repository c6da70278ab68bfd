"""A second, empty database beside the test database, made the one that Django talks to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection
from psycopg import sql

from outerloop.operations.backup import tables
from outerloop.operations.backup.creation import table_names


@contextmanager
def empty_database() -> Iterator[str]:
    """Inside the block the default connection leads to a new database without a table."""
    name = f"{connection.settings_dict['NAME']}_{os.getpid()}_second"
    before = connection.settings_dict["NAME"]
    connection.close()
    _execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    connection.settings_dict["NAME"] = name
    try:
        yield name
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before
        _execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(statement: sql.Composed) -> None:
    given = dict(connection.get_connection_params())
    with psycopg.connect(
        dbname="postgres",
        user=given.get("user"),
        password=given.get("password"),
        host=given.get("host"),
        port=given.get("port"),
        autocommit=True,
    ) as raw:
        raw.execute(statement)


def digests_now() -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of every table as it is now: what two databases are compared by."""
    with tables.snapshot_connection() as raw:
        found = tables.tables_read(raw, table_names())
        return {table.name: tables.rows_out(raw, table, None, lambda _: None) for table in found}
