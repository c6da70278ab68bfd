"""Who may see the pages of lines and rounds, and who may act there."""

from __future__ import annotations

import pytest
from django.urls import reverse

from outerloop.rounds.models import State
from tests.outerloop.rounds.pages import text, url

LINE_PAGES = ["line", "line_live", "schedule", "dry_run"]
ROUND_PAGES = ["round", "round_live"]


@pytest.mark.parametrize("name", [*LINE_PAGES, "plan"])
def test_a_stranger_is_asked_to_sign_in(client, loop, name):
    response = client.get(url(name, loop))
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=/lines/")


@pytest.mark.parametrize("who", ["stranger", "annotator", "other lead"])
@pytest.mark.parametrize("name", [*LINE_PAGES, "plan"])
def test_pages_of_a_line_are_closed_to_others(as_, loop, who, name):
    assert as_(who).get(url(name, loop)).status_code == 403


@pytest.mark.parametrize("who", ["engineer", "lead", "lead of all"])
@pytest.mark.parametrize("name", LINE_PAGES)
def test_pages_of_a_line_are_open_to_its_engineers_and_leads(as_, loop, who, name):
    assert as_(who).get(url(name, loop)).status_code == 200


@pytest.mark.parametrize("who", ["stranger", "annotator", "other lead"])
@pytest.mark.parametrize("name", ROUND_PAGES)
def test_pages_of_a_round_are_closed_to_others(as_, loop, who, name):
    loop.round()
    assert as_(who).get(url(name, loop, 1)).status_code == 403


def test_the_plan_is_the_engineer_s(as_, loop):
    assert as_("lead").get(url("plan", loop)).status_code == 403
    assert as_("engineer").get(url("plan", loop)).status_code == 200


ACTS = [
    ("start", None, {"engineer"}),
    ("cancel", 1, {"engineer", "lead"}),
    ("take_up", 1, {"engineer"}),
    ("approve", 1, {"lead"}),
    ("override_request", 1, {"lead"}),
]


@pytest.mark.parametrize(("name", "number", "may"), ACTS)
@pytest.mark.parametrize("who", ["stranger", "annotator", "engineer", "lead", "other lead"])
def test_acts_need_their_role(as_, loop, who, name, number, may):
    loop.round(State.CLOSED)
    assert as_(who).post(url(name, loop, number)).status_code == (302 if who in may else 403)


@pytest.mark.parametrize(("name", "number", "may"), ACTS)
def test_acts_are_never_done_by_a_link(as_, loop, name, number, may):
    loop.round(State.CLOSED)
    assert as_(sorted(may)[0]).get(url(name, loop, number)).status_code == 405


@pytest.mark.parametrize(("who", "lines"), [("lead of all", 2), ("lead", 1), ("annotator", 0)])
def test_the_list_shows_the_lines_of_the_person(as_, loop, who, lines):
    page = text(as_(who).get(reverse("rounds:lines")))
    assert page.count('<td><a href="/lines/') == lines


def test_a_line_or_round_that_is_not_there_is_not_found(as_, loop):
    client = as_("lead of all")
    assert client.get(reverse("rounds:line", args=["nowhere"])).status_code == 404
    assert client.get(url("round", loop, 7)).status_code == 404
