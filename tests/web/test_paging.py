from __future__ import annotations

import pytest
from django.http import Http404, QueryDict

from web.models import AuditEvent
from web.paging import page_by_key
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
