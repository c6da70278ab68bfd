"""A session of one's own: what outlives a transaction cannot go through a pooler of transactions.

A pooler in transaction mode hands every transaction to the session that is free. A lock, a cursor or a
setting that stays beyond its transaction would stay with a session that another process is given next.
`DATABASE_DIRECT_URL` is the way past it; without one, DATABASE_URL leads to the server itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper

if TYPE_CHECKING:
    from .base import DatabaseWrapper


@contextmanager
def session_of_its_own() -> Iterator[Any]:
    """A second connection, past the pooler where there is one; closed at the end."""
    own = direct_copy(connection)
    try:
        yield own
    finally:
        own.close()


def direct_copy(given: Any) -> Any:
    """A connection like `given`, not yet made, to the server itself."""
    own = given.copy()
    own.settings_dict = {**own.settings_dict, **settings.DATABASE_DIRECT}
    own.is_direct = True
    return own


class OwnCursor(CursorWrapper):
    """A cursor that is all that its connection is for: it takes the connection along when it closes."""

    def close(self) -> None:
        try:
            self.cursor.close()
        finally:
            self.db.close()


def rows_cursor(given: DatabaseWrapper) -> OwnCursor:
    """A cursor on the server for rows that are read in pieces outside of a transaction."""
    own = direct_copy(given)
    return OwnCursor(own.chunked_cursor().cursor, own)
