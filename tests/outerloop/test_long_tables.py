"""Every long table, page after page by its own links: each row once, in order, whatever happens meanwhile."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.accounts.models import User
from outerloop.rounds.models import PolicyLine
from tests.outerloop.long_tables import LINE, TABLES, Table, people
from tests.support.people import person_create

pytestmark = pytest.mark.django_db
ROWS = 115


@pytest.fixture
def lead() -> Any:
    PolicyLine.objects.create(pk=LINE, name="Help desk", slug="help-desk")
    return person_create("a-lead", "lead", "engineer")


@pytest.fixture
def client(lead: Any) -> Client:
    client = Client()
    client.force_login(lead)
    return client


def numbers_on(table: Table, page: str) -> list[int]:
    body = page.partition("<main")[2]
    base = 16 if "a-f" in table.row else 10
    return list(dict.fromkeys(int(found, base) for found in re.findall(table.row, body)))


def link_on(table: Table, page: str, which: str) -> str:
    name = {"next": "older", "prev": "newer"}[which]
    links = re.findall(rf'rel="{which}" href="([^"]*)"', page)
    found = [html.unescape(link) for link in links if f"{table.pager}{name}=" in link]
    return next((link for link in found if table.pager or "exports-" not in link), "")


def asked(client: Client, table: Table, link: str = "") -> str:
    answer = client.get(table.address.partition("?")[0] + link if link else table.address)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_on_one_page_in_order_and_the_way_back_is_the_same(
    client: Client, lead: Any, name: str
) -> None:
    table = TABLES[name]
    table.make(lead, range(100, 100 + ROWS))
    page, seen = asked(client, table), []
    while True:
        seen.append(numbers_on(table, page))
        link = link_on(table, page, "next")
        if not link:
            break
        page = asked(client, table, link)
    assert len(seen) >= 3
    found = [n for numbers in seen for n in numbers]
    assert len(set(found)) == len(found)
    assert set(found) == set(range(100, 100 + ROWS))
    hours = [n // 3 if table.newest_first else -n for n in found]
    assert hours == sorted(hours, reverse=True)
    for numbers in reversed(seen[:-1]):
        page = asked(client, table, link_on(table, page, "prev"))
        assert numbers_on(table, page) == numbers
    assert link_on(table, page, "prev") == ""


@pytest.mark.parametrize("name", TABLES)
def test_what_comes_and_goes_between_two_pages_loses_and_repeats_nothing(
    client: Client, lead: Any, name: str
) -> None:
    table = TABLES[name]
    table.make(lead, range(200, 200 + ROWS))
    page = asked(client, table)
    first = numbers_on(table, page)
    table.make(lead, range(400, 403) if table.newest_first else range(100, 103))
    if not table.kept:
        for number in (first[0], first[-1]):  # the one that the link names, too
            table.rows(number).delete()
    rest = []
    while link := link_on(table, page, "next"):
        page = asked(client, table, link)
        rest += numbers_on(table, page)
    assert sorted(first + rest) == list(range(200, 200 + ROWS))


@pytest.mark.parametrize("name", TABLES)
def test_many_rows_take_as_many_queries_as_few(client: Client, lead: Any, name: str) -> None:
    table = TABLES[name]

    def queries() -> int:
        with CaptureQueriesContext(connection) as sent:
            asked(client, table)
        return len(sent)

    table.make(lead, range(100, 105))
    queries()  # what the site keeps between requests is read once
    few = queries()
    table.make(lead, range(105, 100 + ROWS))
    assert queries() == few


def test_a_search_keeps_its_choice_on_every_page(client: Client, lead: Any) -> None:
    people(lead, range(100, 300))
    User.objects.filter(username__range=("p100", "p179")).update(is_active=False)
    page = client.get("/people/?name=P1&account=closed").content.decode()
    table = TABLES["people"]
    first = numbers_on(table, page)
    link = link_on(table, page, "next")
    assert urlencode({"name": "P1", "account": "closed"}) in link
    rest = numbers_on(table, client.get("/people/" + link).content.decode())
    assert first + rest == list(range(100, 180))


def test_a_choice_that_nothing_fits_says_so_and_leads_back(client: Client, lead: Any) -> None:
    for address, says in (
        ("/people/?name=nobody", "Nobody fits this search."),
        ("/campaigns/?state=paused", "No campaign fits this choice."),
        ("/runs/?kind=sft&state=failed", "No run fits this choice."),
        (f"/audit/?line={LINE}", "Nothing has been recorded of this line."),
    ):
        page = client.get(address).content.decode()
        assert says in page
        assert "Show everything" in page


def test_a_choice_that_does_not_exist_is_an_error_at_its_field(client: Client, lead: Any) -> None:
    people(lead, range(100, 103))
    for address in ("/people/?role=king", "/people/?name=%00", "/campaigns/?line=x&sort=y"):
        assert client.get(address).status_code == 200
    page = client.get("/people/?role=king").content.decode()
    assert "king is not one of the available choices" in page
    assert numbers_on(TABLES["people"], page) == [100, 101, 102]


def test_a_person_is_found_by_role_on_any_line(client: Client, lead: Any) -> None:
    person_create("ann", "annotator", line=LINE)
    person_create("ben", "adjudicator", line=LINE)
    page = client.get("/people/?role=annotator").content.decode()
    assert '<th scope="row">ann' in page
    assert '<th scope="row">ben' not in page
