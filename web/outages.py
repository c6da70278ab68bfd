"""The database is away for a moment: restarted, failed over, or out of reach.

What was committed is safe, what was not has not happened, so whoever may repeat an act waits and asks
again. Only the connection has to be let go: Django opens another when it is next needed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection
from psycopg import errors

logger = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError)
PAUSE_SECONDS = 0.5

T = TypeVar("T")


def database_retried(act: Callable[[], T], *, seconds: float) -> T:
    """`act()`, repeated while the database does not answer, for at most `seconds`.

    The caller vouches that repeating is harmless, also when the first try was carried out and only
    its answer was lost. After `seconds` the error of the last try is raised.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return act()
        except DATABASE_AWAY as error:
            connection_drop()
            if time.monotonic() >= deadline:
                raise
            logger.warning("The database does not answer; trying again: %s", first_line(error))
            time.sleep(PAUSE_SECONDS)


UNMIGRATED = "The database lacks tables that this code needs: run `python manage.py migrate` first."


def is_unmigrated(error: Exception) -> bool:
    """Whether a table or column was not there: the database is empty, or older than the code."""
    missing = errors.UndefinedTable | errors.UndefinedColumn
    return isinstance(error, missing) or isinstance(error.__cause__, missing)


def connection_drop() -> None:
    """Let go of a connection that no longer answers; the next query opens one."""
    try:
        connection.close()
    except DATABASE_AWAY:
        connection.connection = None


def first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]
