"""Answers put in order in a real browser: by keyboard, by buttons and by drag, checked against the database."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from annotation.comparisons.levels import levels_shown
from annotation.comparisons.models import Judgment
from tests.annotation.factories import a_campaign, some_rankings
from tests.journeys.comparing import prompt_shown, wait_until_sent
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=85)
SUBMIT = "Control+Enter"


def order_shown(page: Page) -> str:
    return "".join(page.locator("#order").inner_text().split())


def ranked_as() -> list[int]:
    """The levels of the latest answer in force in the order shown."""
    judgment = Judgment.objects.filter(active=True).order_by("-created_at").first()
    assert judgment is not None
    assert judgment.levels is not None
    return levels_shown(judgment.levels, judgment.assignment.shown_order)


def test_answers_are_ranked_by_keyboard_by_buttons_and_by_drag(visit):
    ann = person_create("ann", "annotator", line=LINE)
    ann.toured = True
    ann.save()
    campaign = a_campaign(line_id=LINE, name="Orders", answers=4)
    some_rankings(campaign, 6)
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    assert page.locator("#answers .pane").count() == 4

    # an order that nobody touched is asked about
    page.keyboard.press(SUBMIT)
    expect(page.locator("#save-state")).to_contain_text("Put the answers in order first")

    # by keyboard: C to the front, D on the level of A
    page.keyboard.press("3")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#announce")).to_have_text(
        "C: place 1 of 4. The order is C, then A, then B, then D."
    )
    page.keyboard.press("4")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("=")
    assert order_shown(page) == "C>A=D>B"
    page.keyboard.press("f")
    page.get_by_label("Unsafe: C").check()
    before = prompt_shown(page)
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(before)
    wait_until_sent(page, 1)
    assert ranked_as() == [2, 3, 1, 2]
    assert (
        Judgment.objects.get().flags[0]["slot"] == Judgment.objects.get().assignment.shown_order[2]
    )

    # undo brings it back as it was given
    page.keyboard.press("u")
    expect(page.locator("#prompt")).to_have_text(before)
    assert order_shown(page) == "C>A=D>B"
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 1)

    # by buttons, as a screen reader or a finger would
    page.get_by_role("button", name="B: place 2 of 4").click()
    page.get_by_role("button", name="Better").click()
    page.get_by_role("button", name="Worse").click()
    page.get_by_role("button", name="Same level").click()
    assert order_shown(page) == "A=B>C>D"
    page.get_by_role("button", name="Submit").click()
    wait_until_sent(page, 2)
    assert ranked_as() == [1, 1, 2, 3]

    # by drag: A behind D
    chips = page.locator("#order [data-answer]")
    start, end = chips.nth(0).bounding_box(), chips.nth(3).bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 10, start["y"] + 10)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] - 3, end["y"] + 12, steps=6)
    page.mouse.up()
    assert order_shown(page) == "B>C>D>A"

    # what is answered without a connection is kept, and sent when it is back
    page.context.set_offline(True)
    page.keyboard.press(SUBMIT)
    expect(page.locator("#save-state")).to_contain_text("not sent yet")
    page.context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_until_sent(page, 3)
    assert ranked_as() == [4, 1, 2, 3]
    page.goto(page.url.split("/compare")[0] + "/answers/")
    expect(page.locator("main")).to_contain_text("Best first: B, C, D, A")
