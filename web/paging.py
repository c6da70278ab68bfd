"""Pages by key: the cost of a page does not grow with its depth, and no row is shown twice.

`page_by_key` sorts by the named fields or annotations, none of them null (a leading "-" for descending; the
last one unique), and the links carry the key of the row at the edge instead of an offset. An index on the
fields in this order serves every page alike.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import BooleanField, F, Field, Func, Model, Q, QuerySet, Value
from django.db.models.lookups import GreaterThan, LessThan
from django.http import Http404, QueryDict

from .texts import storable

# A row of a grouped query, as `values` makes it, is a mapping.
Row = TypeVar("Row", bound=Model | Mapping[str, Any])


Shown = TypeVar("Shown")


@dataclass(frozen=True)
class Page(Generic[Shown]):
    """One page; `newer_query` and `older_query` are query strings, empty where there is nothing."""

    rows: list[Shown]
    newer_query: str
    older_query: str


def _key_write(row: Model | Mapping[str, Any], fields: Sequence[str]) -> str:
    names = [field.lstrip("-") for field in fields]
    values = [row[name] if isinstance(row, Mapping) else getattr(row, name) for name in names]
    return base64.urlsafe_b64encode(json.dumps(values, cls=_KeyEncoder).encode()).decode()


class _KeyEncoder(DjangoJSONEncoder):
    def default(self, value: Any) -> Any:
        # Django's own encoder cuts microseconds, and a cut key would show its row again.
        return value.isoformat() if hasattr(value, "isoformat") else super().default(value)


def _field(rows: QuerySet[Any, Any], name: str) -> Field[Any, Any]:
    """The field, or the output of the annotation, that a name with its sign stands for."""
    annotated = rows.query.annotations.get(name.lstrip("-"))
    if annotated is not None:
        return annotated.output_field
    field = rows.model._meta.get_field(name.lstrip("-"))
    assert isinstance(field, Field)
    return field


def _key_read(raw: str, fields: Sequence[str], rows: QuerySet[Any, Any]) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(raw))
        if not isinstance(values, list) or len(values) != len(fields):
            raise ValueError("wrong number of values")
        if not storable(values) or None in values:
            raise ValueError("a NUL, which the database refuses, or no value")
        pairs = zip(fields, values, strict=True)
        return [_field(rows, name).to_python(value) for name, value in pairs]
    except (ValueError, TypeError, OverflowError, RecursionError, ValidationError) as error:
        raise Http404("This page's address is damaged; go back to the list.") from error


def _beyond(
    rows: QuerySet[Any, Any], fields: Sequence[str], values: Sequence[Any], *, forwards: bool
) -> Q:
    """Rows past the key, in a form that an index on the fields is entered by.

    (a, b) > (x, y) where all are sorted one way; else a >= x and ((a > x) or (a = x and b > y) ...).
    """
    ascending = [not field.startswith("-") for field in fields]
    if len(fields) > 1 and len(set(ascending)) == 1:
        return Q(_row_compared(rows, fields, values, greater=ascending[0] == forwards))
    conditions, equal = [], Q()
    for field, value, up in zip(fields, values, ascending, strict=True):
        name = field.lstrip("-")
        operator = "gt" if up == forwards else "lt"
        conditions.append(equal & Q(**{f"{name}__{operator}": value}))
        equal &= Q(**{name: value})
    leading = fields[0].lstrip("-")
    bound = "gte" if ascending[0] == forwards else "lte"
    return Q(**{f"{leading}__{bound}": values[0]}) & reduce(or_, conditions)


def _row_compared(
    rows: QuerySet[Any, Any], fields: Sequence[str], values: Sequence[Any], *, greater: bool
) -> GreaterThan | LessThan:
    """ROW(a, b) > ROW(x, y), which PostgreSQL looks up in one index."""
    names = [F(field.lstrip("-")) for field in fields]
    given = [
        Value(value, output_field=_field(rows, field))
        for field, value in zip(fields, values, strict=True)
    ]
    # No row is of this type: the comparison of two of them is, and Django asks for some type of each.
    sides = [Func(*side, function="ROW", output_field=BooleanField()) for side in (names, given)]
    return GreaterThan(*sides) if greater else LessThan(*sides)


def _turned(fields: Sequence[str]) -> list[str]:
    return [field[1:] if field.startswith("-") else f"-{field}" for field in fields]


def page_by_key(
    queryset: QuerySet[Any, Row],
    *,
    query: QueryDict,
    fields: Sequence[str],
    size: int = 50,
    name: str = "",
) -> Page[Row]:
    """The page that `query` (request.GET) asks for by its `older` or `newer` key; Http404 if damaged.

    Where a page has several tables, `name` stands before the keys of one: `exports-older`.
    """
    newer, older = (f"{name}-{key}" if name else key for key in ("newer", "older"))
    forwards = newer not in query
    raw = query.get(older if forwards else newer, "")
    rows_query = queryset.order_by(*(fields if forwards else _turned(fields)))
    if raw:
        values = _key_read(raw, fields, queryset)
        rows_query = rows_query.filter(_beyond(queryset, fields, values, forwards=forwards))
    found = list(rows_query[: size + 1])
    more, rows = len(found) > size, found[:size]
    if not forwards:
        rows.reverse()
    has_newer, has_older = (bool(raw), more) if forwards else (more, True)
    return Page(
        rows=rows,
        newer_query=_link(query, newer, older, rows[0], fields) if rows and has_newer else "",
        older_query=_link(query, older, newer, rows[-1], fields) if rows and has_older else "",
    )


def page_of_sorted(
    rows: Sequence[Shown],
    *,
    key: Callable[[Shown], tuple[int, str]],
    query: QueryDict,
    size: int = 50,
) -> Page[Shown]:
    """The same of rows that were worked out in memory, sorted by `key`, which no two share."""
    keys = [key(row) for row in rows]
    begin, end = 0, size
    if raw := query.get("newer", ""):
        end = bisect_left(keys, _pair_read(raw))
        begin = max(0, end - size)
    elif raw := query.get("older", ""):
        begin = bisect_right(keys, _pair_read(raw))
        end = begin + size
    found = list(rows[begin:end])
    edges = [base64.urlsafe_b64encode(json.dumps(key(row)).encode()).decode() for row in found]
    return Page(
        rows=found,
        newer_query=_keyed(query, "newer", "older", edges[0]) if found and begin else "",
        older_query=_keyed(query, "older", "newer", edges[-1]) if found and end < len(keys) else "",
    )


def _pair_read(raw: str) -> tuple[int, str]:
    try:
        number, text = json.loads(base64.urlsafe_b64decode(raw))
        if type(number) is int and type(text) is str:
            return number, text
        raise ValueError("neither a number nor a text")
    except (ValueError, TypeError, RecursionError) as error:
        raise Http404("This page's address is damaged; go back to the list.") from error


def rows_after(
    queryset: QuerySet[Any, Row], *, after: str, fields: Sequence[str], size: int
) -> tuple[list[Row], str]:
    """For programs: the rows past the key `after` ("" for the first), and the key to go on with ("" at
    the end). Http404 for a damaged key."""
    rows = queryset.order_by(*fields)
    if after:
        values = _key_read(after, fields, queryset)
        rows = rows.filter(_beyond(queryset, fields, values, forwards=True))
    found = list(rows[: size + 1])
    return found[:size], _key_write(found[size - 1], fields) if len(found) > size else ""


def _link(
    query: QueryDict, name: str, other: str, row: Model | Mapping[str, Any], fields: Sequence[str]
) -> str:
    return _keyed(query, name, other, _key_write(row, fields))


def _keyed(query: QueryDict, name: str, other: str, key: str) -> str:
    kept = query.copy()
    for old in (name, other):
        kept.pop(old, None)
    kept[name] = key
    return f"?{kept.urlencode()}"
