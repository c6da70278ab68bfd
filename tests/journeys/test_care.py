"""The care that is taken of annotators, in a real browser: a warning with a way out, a word about a break."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.comparing import help_desk, prompt_shown
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=86)
WARNING = "Some of these texts are insults."
# What the page kept of the work so far, as if `minutes` had passed.
WORKED = """([key, minutes]) => localStorage.setItem(
    key, JSON.stringify({ ms: minutes * 60000, at: Date.now() }))"""


def vote(page: Page, key: str = "2") -> None:
    before = prompt_shown(page)
    page.keyboard.press(key)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#prompt")).not_to_have_text(before)


def test_who_agrees_is_shown_the_pairs_and_finds_the_way_out(visit: Any) -> None:
    campaign = help_desk(line_id=LINE, sensitive_warning=WARNING)
    page: Page = visit(person_create("ann", "annotator", line=LINE), f"/compare/{campaign.pk}/")
    expect(page.get_by_text(WARNING)).to_be_visible()
    page.get_by_role("button", name="I agree to see this").click()
    expect(page.locator("#item")).to_be_visible()
    page.goto(page.url.split("/compare/")[0] + "/my-work/")
    page.get_by_role("button", name="Show me no more of Help desk").click()
    expect(page.get_by_text("You are shown nothing more of Help desk")).to_be_visible()
    page.goto(page.url.rstrip("/") + f"/compare/{campaign.pk}/")
    expect(page.get_by_role("button", name="I agree to see this")).to_be_visible()


def test_a_break_is_spoken_of_between_two_pairs_and_once(visit: Any) -> None:
    ann = person_create("ann", "annotator", line=LINE)
    ann.break_minutes = 30
    ann.toured = True
    ann.save()
    page: Page = visit(ann, f"/compare/{help_desk(line_id=LINE).pk}/")
    expect(page.locator("#item")).to_be_visible()
    worked = f"outerloop:{ann.pk}:worked"
    page.evaluate(WORKED, [worked, 29])
    vote(page)
    expect(page.locator("#alert")).to_be_hidden()
    page.evaluate(WORKED, [worked, 30])
    vote(page)
    expect(page.locator("#alert-says")).to_contain_text("You have compared for 30 minutes on end.")
    vote(page)
    expect(page.locator("#alert")).to_be_hidden()
    page.evaluate(WORKED, [worked, 30])
    vote(page)
    page.locator("#alert-close").click()
    expect(page.locator("#alert")).to_be_hidden()
    vote(page)
    expect(page.locator("#alert")).to_be_hidden()
