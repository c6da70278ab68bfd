"""What Django loads for ENGINE "outerloop.database": its own backend on bounded connections."""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.postgresql import base

from .direct import rows_cursor
from .silence import CONNECTING, BoundedConnection


class _Driver:
    """psycopg, but for the class of its connections."""

    connect = staticmethod(BoundedConnection.connect)

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class DatabaseWrapper(base.DatabaseWrapper):
    Database = _Driver()  # type: ignore[assignment] # it stands for the module
    is_direct = False  # made by `direct_copy`, past a pooler

    def get_connection_params(self) -> dict[str, Any]:
        return {**CONNECTING, **super().get_connection_params()}

    def chunked_cursor(self) -> Any:
        """Rows in pieces: by a cursor of this transaction, or outside of one past the pooler."""
        pooled = settings.DATABASE_DIRECT and self.alias == DEFAULT_DB_ALIAS
        if pooled and not self.is_direct and self.get_autocommit():
            return rows_cursor(self)
        return super().chunked_cursor()
