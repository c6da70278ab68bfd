"""The page: empty with the command that fills it, filled with lines, curves and rows; for whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from outerloop.rounds.models import PolicyLine
from outerloop.selftest.pages import selftest_page
from outerloop.selftest.results import ResultStore
from outerloop.selftest.running import plan_digest
from outerloop.selftest.sizes import ARMS, ORDINARY
from tests.outerloop.selftest.worlds import RISES_AND_FALLS, STAYS_UP, a_curve, noise, selftest_fill
from tests.support.people import person_create

pytestmark = pytest.mark.django_db
PAGE, JSON = "/selftest/", "/selftest/report.json"


@pytest.fixture
def place(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path / "selftest"


@pytest.fixture
def lead(client: Client) -> Client:
    client.force_login(person_create("lena", "lead"))
    return client


def test_before_the_first_run_the_page_names_the_command(place: Path, lead: Client) -> None:
    page = lead.get(PAGE).content.decode()
    assert "python manage.py selftest overoptimisation" in page
    assert lead.get(JSON).json()["accepted"] is None


def test_a_run_is_shown_with_its_lines_curves_and_rows(place: Path, lead: Client) -> None:
    selftest_fill(place)
    page = lead.get(PAGE).content.decode()
    assert page.count('<svg class="plot"') == 3  # one reward model, UWO, WCO
    assert "gold from 0 at KL" in page
    assert "199 of 200" not in page  # the number that passed is shown, not the number held back
    assert "1 of 200" in page
    assert "2 of 2 seeds" in page
    assert "99.5% of 400 redraws" in page
    assert "Noise, seed by seed" in page
    assert "29 November 2026" in page
    document = lead.get(JSON).json()
    assert document["accepted"] is False
    assert {line["key"]: line["verdict"] for line in document["acceptance"]}["blocks"] == "met"
    assert len(document["results"]) == 3


def test_results_of_other_sizes_are_left_out_and_counted(place: Path, lead: Client) -> None:
    selftest_fill(place, plan="of before")
    assert "has not been run here" in lead.get(PAGE).content.decode()
    counted = replace(noise(9, a_curve(RISES_AND_FALLS)), plan=plan_digest(ARMS["noise"], ORDINARY))
    ResultStore(place, "").write(counted)
    assert "3 older results" in lead.get(PAGE).content.decode()


def test_a_lines_own_result_is_for_the_people_of_that_line(place: Path, client: Client) -> None:
    desk = PolicyLine.objects.create(slug="desk", name="Help desk")
    other = PolicyLine.objects.create(slug="other", name="Other")
    selftest_fill(place, "desk")
    client.force_login(person_create("ed", "engineer", line=desk.id))
    assert "--line desk" in client.get(PAGE, {"line": "desk"}).content.decode()
    client.force_login(person_create("olga", "lead", line=other.id))
    assert client.get(PAGE, {"line": "desk"}).status_code == 404
    assert "Help desk" not in client.get(PAGE).content.decode()


@pytest.mark.parametrize("address", [PAGE, JSON])
def test_annotators_do_not_see_it(place: Path, client: Client, address: str) -> None:
    assert client.get(address).status_code in (302, 401)
    client.force_login(person_create("anna", "annotator"))
    assert client.get(address).status_code == 403


def test_the_headline_says_how_it_stands() -> None:
    met = noise(1, a_curve(RISES_AND_FALLS), uwo=a_curve(STAYS_UP))
    page = selftest_page([replace(met, plan=plan_digest(ARMS["noise"], ORDINARY))], line="")
    assert page is not None
    assert page.headline.endswith("conditions are not met.")  # early stopping on these curves
