"""Every page as every role in both themes, by axe: nothing is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import NoReverseMatch, reverse
from playwright.sync_api import Page

from tests.access.table import ACCOUNT_PAGES, RULES
from tests.access.world import url_table
from tests.journeys.every_page import EveryPage
from tests.support.browser import PHONE

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

AXE = Path(__file__).parents[1] / "support" / "axe" / "axe.min.js"
# These are off by default; everything else that axe holds for an error is on.
ALSO = {rule: {"enabled": True} for rule in ("target-size", "label-content-name-mismatch")}
FOUND = """options => axe.run(document, options).then(result => result.violations.flatMap(
  rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 200)} | ${node.failureSummary.slice(0, 300)}`)))"""
# The boss sees every page of engineers and leads with all its buttons; these look different to each.
ROLES = {"adjudicator", "engineer", "lead"}
BY_ROLE = ("web:home", "rounds:line", "rounds:round", "reports:report")
# Of what passes nothing is read, so axe need not write it up.
ALL = {"rules": ALSO, "resultTypes": ["violations"]}
COLOURS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}


@pytest.fixture
def pages(settings: Any, tmp_path: Path) -> EveryPage:
    settings.VAR_DIR = tmp_path
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    return EveryPage(tmp_path)


@pytest.mark.parametrize(
    "actor", ["stranger", "annotator", "adjudicator", "engineer", "lead", "boss"]
)
def test_axe_finds_nothing(visit: Any, pages: EveryPage, actor: str) -> None:
    person = None if actor == "stranger" else pages.people[actor]
    page = visit(person, "/", reduced_motion="reduce")  # a theme that fades in has no contrast yet
    found = []
    for address in dict.fromkeys(_addresses(pages, actor)):
        page.goto(address, timeout=60_000)  # a report draws its charts
        found += [f"{address} {what}" for what in findings(page)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("actor", ["annotator", "boss"])
def test_axe_finds_nothing_on_a_phone(visit: Any, pages: EveryPage, actor: str) -> None:
    """What scrolls only where it is narrow must be reached by keyboard there too."""
    page = visit(
        pages.people[actor],
        "/",
        viewport=PHONE,
        is_mobile=True,
        has_touch=True,
        reduced_motion="reduce",
    )
    found = []
    for address in dict.fromkeys(_addresses(pages, actor)):
        page.goto(address, timeout=60_000)  # a report draws its charts
        page.evaluate(AXE.read_text())
        found += [f"{address} {what}" for what in page.evaluate(FOUND, ALL)]
    assert not found, "\n".join(found)


def _addresses(pages: EveryPage, actor: str) -> Iterator[str]:
    if actor in ROLES:
        allowed = [name for name in BY_ROLE if actor in RULES[name].get]
        yield from (pages.house.address(url_table()[name]) for name in allowed)
        return
    if actor != "stranger":
        yield from pages.addresses(actor=actor)
    for name, account in ACCOUNT_PAGES.items():
        if account.own or actor == "stranger":
            try:
                yield reverse(name)
            except NoReverseMatch:
                continue


def findings(page: Page) -> list[str]:
    """Everything in the light, the colours again in the dark."""
    page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(FOUND, ALL)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(FOUND, COLOURS)
    if dark:  # Chromium restyles an open page piece by piece
        page.wait_for_timeout(2000)
        dark = page.evaluate(FOUND, COLOURS)
    page.emulate_media(color_scheme="light")
    found += [f"in the dark: {what}" for what in dark]
    return found
