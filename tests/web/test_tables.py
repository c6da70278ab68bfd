from __future__ import annotations

from django import forms
from django.http import QueryDict

from web.tables import Sort, choice_filter, table_asked

SORTS = {"name": Sort("name", ("name",)), "newest": Sort("newest first", ("-at", "-id"))}


def _asked(query: str):
    filters = {
        "name": forms.CharField(max_length=5),
        "state": choice_filter("State", [("open", "open")]),
    }
    return table_asked(QueryDict(query), sorts=SORTS, filters=filters)


def test_nothing_asked_is_every_row_in_the_first_order():
    found = _asked("older=abc")
    assert (found.chosen, found.fields) == ({}, ("name",))


def test_filters_and_an_order_are_read_together():
    found = _asked("name=ann&state=open&sort=newest")
    assert found.chosen == {"name": "ann", "state": "open"}
    assert found.fields == ("-at", "-id")


def test_what_cannot_be_read_is_no_filter_and_an_error_at_its_field():
    found = _asked("name=much+too+long&state=gone&sort=size")
    assert (found.chosen, found.fields) == ({}, ("name",))
    assert set(found.form.errors) == {"name", "state", "sort"}


def test_a_table_with_one_order_offers_none():
    found = table_asked(QueryDict(""), sorts={"name": SORTS["name"]}, filters={})
    assert list(found.form.fields) == []
