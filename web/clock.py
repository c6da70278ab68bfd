"""The one clock that every process shares: the database's.

A lease is written by one machine and read by another, so that neither may go by its own clock: one that
runs ahead would take work away from the living, one that runs behind would hold nothing. Conditions and
updates use Django's `Now()`; `database_now` is for what is computed in Python.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import DateTimeField, Expression, ExpressionWrapper
from django.db.models.functions import Now

__all__ = ["Now", "database_now", "from_now"]


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now


def from_now(span: timedelta) -> Expression:
    """The moment that lies `span` after the statement begins, for an UPDATE or a condition."""
    return ExpressionWrapper(Now() + span, output_field=DateTimeField())
