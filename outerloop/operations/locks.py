"""Backup, restore and retention keep out of each other's way: one advisory lock in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from outerloop.database.direct import session_of_its_own

from .backup.manifest import BackupError

# "outerkep" in ASCII: a number that nobody else takes.
KEY = 0x6F75_7465_726B_6570


@contextmanager
def maintenance_lock(what: str) -> Iterator[None]:
    """Hold the lock in a session of its own; `BackupError` where another process has it."""
    with session_of_its_own() as own:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [KEY])
            if not cursor.fetchone()[0]:
                raise BackupError(
                    f"Another backup, restore or retention is under way; start {what} when it is done."
                )
        try:
            yield
        finally:  # by name: the server notices a closed connection only after its caller goes on
            with own.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [KEY])
