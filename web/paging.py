"""Pages by key: the cost of a page does not grow with its depth, and no row is shown twice.

`page_by_key` sorts by the named fields (a leading "-" for descending; the last one unique), and the links
carry the key of the row at the edge instead of an offset.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Field, Model, Q, QuerySet
from django.http import Http404, QueryDict

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page; `newer_query` and `older_query` are query strings, empty where there is nothing."""

    rows: list[Row]
    newer_query: str
    older_query: str


def _key_write(row: Model, fields: Sequence[str]) -> str:
    values = [getattr(row, field.lstrip("-")) for field in fields]
    return base64.urlsafe_b64encode(json.dumps(values, cls=_KeyEncoder).encode()).decode()


class _KeyEncoder(DjangoJSONEncoder):
    def default(self, value: Any) -> Any:
        # Django's own encoder cuts microseconds, and a cut key would show its row again.
        return value.isoformat() if hasattr(value, "isoformat") else super().default(value)


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.get_field(name.lstrip("-"))
    assert isinstance(field, Field)
    return field


def _key_read(raw: str, fields: Sequence[str], model: type[Model]) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(raw))
        if not isinstance(values, list) or len(values) != len(fields):
            raise ValueError("wrong number of values")
        if any(isinstance(value, str) and "\x00" in value for value in values):
            raise ValueError("a NUL, which the database refuses")
        pairs = zip(fields, values, strict=True)
        return [_field(model, name).to_python(value) for name, value in pairs]
    except (ValueError, TypeError, ValidationError) as error:
        raise Http404("This page's address is damaged; go back to the list.") from error


def _beyond(fields: Sequence[str], values: Sequence[Any], *, forwards: bool) -> Q:
    """Rows past the key: (a > x) or (a = x and b > y) ..., each turned by its direction."""
    condition, equal = Q(pk__in=[]), Q()
    for field, value in zip(fields, values, strict=True):
        name = field.lstrip("-")
        ascending = not field.startswith("-")
        operator = "gt" if ascending == forwards else "lt"
        condition |= equal & Q(**{f"{name}__{operator}": value})
        equal &= Q(**{name: value})
    return condition


def _turned(fields: Sequence[str]) -> list[str]:
    return [field[1:] if field.startswith("-") else f"-{field}" for field in fields]


def page_by_key(
    queryset: QuerySet[Row], *, query: QueryDict, fields: Sequence[str], size: int = 50
) -> Page[Row]:
    """The page that `query` (request.GET) asks for by its `older` or `newer` key; Http404 if damaged."""
    forwards = "newer" not in query
    raw = query.get("older" if forwards else "newer", "")
    rows_query = queryset.order_by(*(fields if forwards else _turned(fields)))
    if raw:
        values = _key_read(raw, fields, queryset.model)
        rows_query = rows_query.filter(_beyond(fields, values, forwards=forwards))
    found = list(rows_query[: size + 1])
    more, rows = len(found) > size, found[:size]
    if not forwards:
        rows.reverse()
    has_newer, has_older = (bool(raw), more) if forwards else (more, True)
    return Page(
        rows=rows,
        newer_query=_link(query, "newer", rows[0], fields) if rows and has_newer else "",
        older_query=_link(query, "older", rows[-1], fields) if rows and has_older else "",
    )


def _link(query: QueryDict, name: str, row: Model, fields: Sequence[str]) -> str:
    kept = query.copy()
    for old in ("newer", "older"):
        kept.pop(old, None)
    kept[name] = _key_write(row, fields)
    return f"?{kept.urlencode()}"
