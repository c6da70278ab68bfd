"""The rows of a database, table by table: out of one snapshot, and back in, in one transaction.

COPY's text form is the same in every version of PostgreSQL, so that a backup can go to a newer or an
older server. The schema is not in it: migrations make that, up to the ones that the backup names.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from outerloop.database.direct import session_of_its_own

from .places import CHUNK, Tick

# Who is signed in where: nobody's business after a restore.
EMPTIED = frozenset({"django_session"})

# The same rows must give the same text, whatever the server's own settings are.
PLAIN = (
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL search_path = public",
)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class StoredTable:
    """`columns` are those that are stored; `key` is the primary key, by which rows are ordered."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    serial: tuple[str, ...]


@contextmanager
def snapshot_connection() -> Iterator[Connection]:
    """A connection of its own that sees the database as it is at one moment."""
    with _connection() as raw, raw.transaction():
        raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _plain(raw)
        yield raw


@contextmanager
def loading_connection() -> Iterator[Connection]:
    """A connection of its own whose one transaction takes everything in, or nothing."""
    with _connection() as raw, raw.transaction():
        _plain(raw)
        # The backup brings the kept counts with the rows: the triggers would count them twice.
        raw.execute("SET LOCAL outerloop.rows_with_counts = 'yes'")
        yield raw


@contextmanager
def _connection() -> Iterator[Connection]:
    with session_of_its_own() as own:
        own.ensure_connection()
        yield own.connection


def _plain(raw: Connection) -> None:
    for statement in PLAIN:
        raw.execute(statement)


def tables_read(raw: Connection, names: list[str]) -> list[StoredTable]:
    """The tables of these names that are there, in order of their name."""
    columns = raw.execute(
        """
        SELECT c.relname, a.attname, a.attgenerated <> '',
               pg_get_serial_sequence(quote_ident(c.relname), a.attname) IS NOT NULL,
               array_position(i.indkey::int2[], a.attnum)
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
        WHERE c.relkind = 'r' AND c.relname = ANY(%s)
        ORDER BY c.relname, a.attnum
        """,
        [names],
    ).fetchall()
    found: dict[str, list[Any]] = {}
    for table, *column in columns:
        found.setdefault(table, []).append(column)
    return [_table(name, rows) for name, rows in sorted(found.items())]


def _table(name: str, columns: list[Any]) -> StoredTable:
    keyed = sorted((place, column) for column, _, _, place in columns if place is not None)
    return StoredTable(
        name=name,
        columns=tuple(column for column, generated, _, _ in columns if not generated),
        key=tuple(column for _, column in keyed),
        serial=tuple(column for column, _, serial, _ in columns if serial),
    )


def rows_out(
    raw: Connection, table: StoredTable, target: IO[bytes] | None, tick: Tick
) -> tuple[int, str]:
    """Write every row of the table (with no target: only read); returns their number and SHA-256."""
    digest, rows = hashlib.sha256(), 0
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        _names(table.columns), sql.Identifier(table.name), _names(table.key)
    )
    with raw.cursor() as cursor, cursor.copy(query) as copy:
        for piece in copy:
            digest.update(piece)
            rows += bytes(piece).count(b"\n")  # a line break inside a value is written as \n
            tick(len(piece))
            if target is not None:
                target.write(piece)
    return rows, digest.hexdigest()


def rows_in(raw: Connection, table: StoredTable, source: IO[bytes], tick: Tick) -> None:
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), _names(table.columns)
    )
    with raw.cursor() as cursor, cursor.copy(query) as copy:
        while piece := source.read(CHUNK):
            copy.write(piece)
            tick(len(piece))


def tables_empty(raw: Connection, names: list[str]) -> None:
    """Take out what migrations put in, so that only the backup's rows are there."""
    listed = sql.SQL(", ").join(sql.Identifier(name) for name in names)
    raw.execute(sql.SQL("TRUNCATE {} CASCADE").format(listed))


def sequences_read(raw: Connection, table: StoredTable) -> dict[str, int | None]:
    found = {}
    for column in table.serial:
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(
            _sequence(raw, table, column)
        )
        row = raw.execute(query).fetchone()
        assert row is not None  # a sequence is a table of one row
        found[column] = row[0] if row[1] else None
    return found


def sequences_set(raw: Connection, table: StoredTable, last: dict[str, int | None]) -> None:
    for column, value in last.items():
        name = _sequence(raw, table, column).as_string(raw)
        raw.execute("SELECT setval(%s::regclass, %s, %s)", [name, value or 1, value is not None])


def _sequence(raw: Connection, table: StoredTable, column: str) -> sql.Identifier:
    query = "SELECT pg_get_serial_sequence(quote_ident(%s), %s)::regclass::oid::bigint"
    row = raw.execute(query, [table.name, column]).fetchone()
    assert row is not None
    name = raw.execute("SELECT relname FROM pg_class WHERE oid = %s", [row[0]]).fetchone()
    assert name is not None
    return sql.Identifier(name[0])


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column) for column in columns)


@contextmanager
def packed_writer(path: Path) -> Iterator[IO[bytes]]:
    """A gzip file without the time in it: the same rows give the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        yield file  # type: ignore[misc]  # it is a file
