from __future__ import annotations

import json

import pytest
from django.db import connection
from django.db.models.functions import Length
from django.http import Http404, QueryDict
from django.test.utils import CaptureQueriesContext

from web.models import AuditEvent
from web.paging import Page, page_by_key, page_of_sorted
from web.services import audit_record

pytestmark = pytest.mark.django_db


def _page(query: str = "", fields=("-verb", "-id")):
    return page_by_key(
        AuditEvent.objects.all(), query=QueryDict(query.lstrip("?")), fields=fields, size=2
    )


def _ids(page):
    return [row.target for row in page.rows]


@pytest.fixture
def five():
    # equal verbs, so that only the second key keeps them apart
    for number, verb in enumerate(["a", "b", "b", "b", "c"], start=1):
        audit_record(actor="x", verb=verb, target=str(number))


def test_every_row_is_shown_once_forwards_and_backwards(five):
    first = _page("filter=kept")
    second = _page(first.older_query)
    third = _page(second.older_query)
    assert [_ids(first), _ids(second), _ids(third)] == [["5", "4"], ["3", "2"], ["1"]]
    assert third.older_query == ""
    assert "filter=kept" in third.newer_query
    back = _page(third.newer_query)
    assert _ids(back) == ["3", "2"]
    assert _ids(_page(back.newer_query)) == ["5", "4"]
    assert _page(back.newer_query).newer_query == ""


def test_a_row_added_meanwhile_shifts_nothing(five):
    first = _page()
    audit_record(actor="x", verb="d", target="6")
    assert _ids(_page(first.older_query)) == ["3", "2"]


def test_times_keep_their_microseconds_in_the_key(five):
    first = _page(fields=("-at", "-id"))
    assert _ids(_page(first.older_query, fields=("-at", "-id"))) == ["3", "2"]


@pytest.mark.parametrize("key", ["!", "bm90IGpzb24=", "WzFd", "WyJhIiwgIngiXQ=="])
def test_a_damaged_key_is_a_missing_page(five, key):
    with pytest.raises(Http404):
        _page(f"older={key}")


def test_an_empty_list_has_no_neighbours():
    page = _page()
    assert (page.rows, page.newer_query, page.older_query) == ([], "", "")


def test_annotations_and_mixed_directions_are_paged_too(five):
    rows = AuditEvent.objects.annotate(longest=Length("verb"))
    fields = ("longest", "-verb", "id")
    first = page_by_key(rows, query=QueryDict(), fields=fields, size=2)
    second = page_by_key(rows, query=QueryDict(first.older_query[1:]), fields=fields, size=2)
    third = page_by_key(rows, query=QueryDict(second.older_query[1:]), fields=fields, size=2)
    assert [_ids(first), _ids(second), _ids(third)] == [["5", "2"], ["3", "4"], ["1"]]
    back = page_by_key(rows, query=QueryDict(third.newer_query[1:]), fields=fields, size=2)
    assert _ids(back) == ["3", "4"]


def test_two_tables_of_a_page_are_paged_apart(five):
    rows, fields = AuditEvent.objects.all(), ("-id",)
    first = page_by_key(rows, query=QueryDict(), fields=fields, size=2, name="acts")
    query = QueryDict(first.older_query[1:])
    assert _ids(page_by_key(rows, query=query, fields=fields, size=2)) == ["5", "4"]
    second = page_by_key(rows, query=query, fields=fields, size=2, name="acts")
    assert _ids(second) == ["3", "2"]
    assert "acts-older" in second.older_query
    assert "acts-newer" in second.newer_query


@pytest.mark.parametrize("fields", [("-at", "-id"), ("-at", "id"), ("-id",)])
def test_a_page_enters_its_index_at_the_key(five, fields):
    """A deep page costs what the first one does: the key bounds the index, and filters no row after row."""
    first = _page(fields=fields)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        with CaptureQueriesContext(connection) as sent:
            _page(first.older_query, fields=fields)
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sent[-1]['sql']}")
        plan = json.dumps(cursor.fetchone()[0])
    assert "Index Cond" in plan


def in_memory(address: str, rows: list[tuple[int, str]], size: int = 2) -> Page[tuple[int, str]]:
    return page_of_sorted(rows, key=lambda row: row, query=QueryDict(address[1:]), size=size)


def test_rows_in_memory_have_the_same_pages_forwards_and_backwards():
    rows = [(-9, "b"), (-9, "c"), (-3, "a"), (-3, "x"), (0, "d")]
    first = in_memory("?name=x", rows)
    second = in_memory(first.older_query, rows)
    third = in_memory(second.older_query, rows)
    assert [*first.rows, *second.rows, *third.rows] == rows
    assert (first.newer_query, third.older_query) == ("", "")
    assert in_memory(third.newer_query, rows) == second
    assert in_memory(second.newer_query, rows) == first
    assert "name=x" in second.older_query
    # the row at the edge may go, and others come
    assert in_memory(first.older_query, [(-9, "bb"), *rows[2:]]).rows == rows[2:4]
    assert in_memory("", []) == Page([], "", "")


@pytest.mark.parametrize(
    "key", ["x", "bm90IGpzb24=", "WzEsIDJd", "WyJhIiwgMl0=", "e30=", "W1tdXQ=="]
)
def test_a_damaged_key_of_rows_in_memory_is_a_missing_page(key):
    for name in ("older", "newer"):
        with pytest.raises(Http404):
            in_memory(f"?{name}={key}", [(1, "a")])
