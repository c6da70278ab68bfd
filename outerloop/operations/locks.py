"""Backup, restore and retention keep out of each other's way: one advisory lock in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from .backup.manifest import BackupError

# "outerkep" in ASCII: a number that nobody else takes.
KEY = 0x6F75_7465_726B_6570


@contextmanager
def maintenance_lock(what: str) -> Iterator[None]:
    """Hold the lock on a connection of its own; `BackupError` where another process has it."""
    own = connection.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [KEY])
            if not cursor.fetchone()[0]:
                raise BackupError(
                    f"Another backup, restore or retention is under way; start {what} when it is done."
                )
        yield
    finally:
        own.close()  # the lock ends with the connection
