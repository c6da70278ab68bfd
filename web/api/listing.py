"""Lists by key: `after` carries the key of the last row seen, so no page costs more than the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404
from ninja import Field, Schema

from web.paging import rows_after

from .problems import field_refused

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)

LONGEST_CURSOR = 2_000


class Cursor(Schema):
    """`after` is the `next` of the page before; empty for the first."""

    after: str = Field("", max_length=LONGEST_CURSOR)
    limit: int = Field(50, ge=1, le=200)


class Listing(Schema, Generic[Item]):
    """One page; `next` is null on the last."""

    items: list[Item]
    next: str | None


def listed(
    rows: QuerySet[Row], *, cursor: Cursor, fields: Sequence[str], shown: Callable[[Row], Item]
) -> Listing[Item]:
    """The page that `cursor` asks for of `rows`, sorted by `fields` (the last one unique)."""
    return listed_together(
        rows, cursor=cursor, fields=fields, shown=lambda found: [shown(row) for row in found]
    )


def listed_together(
    rows: QuerySet[Row],
    *,
    cursor: Cursor,
    fields: Sequence[str],
    shown: Callable[[list[Row]], list[Item]],
) -> Listing[Item]:
    """The same where what is shown of the rows is read for all of the page at once."""
    try:
        found, after = rows_after(rows, after=cursor.after, fields=fields, size=cursor.limit)
    except Http404 as error:
        raise field_refused("after", "Send the next of the page before, unchanged.") from error
    return Listing(items=shown(list(found)), next=after or None)
