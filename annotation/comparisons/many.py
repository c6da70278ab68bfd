"""Thousands of ids in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import UUIDField
from django.db.models.expressions import RawSQL


def these(ids: Iterable[UUID]) -> RawSQL:
    """For `__in`: the ids as one array. A placeholder for each, which Django resolves and psycopg writes one by one,
    took a sixth of an export."""
    return RawSQL("SELECT unnest(%s::uuid[])", [list(ids)], output_field=UUIDField())
