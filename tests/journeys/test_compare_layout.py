"""The compare page where the two answers cannot be seen together: phones, tablets, and 200 % zoom."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.comparing import help_desk
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=84)
SCREENS: dict[str, dict[str, Any]] = {
    "phone, 360": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "phone, 390": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "tablet, 768": {"viewport": {"width": 768, "height": 1024}},
    "window, 800": {"viewport": {"width": 800, "height": 600}},
    "1440 x 900 at 200 %": {"viewport": {"width": 720, "height": 450}, "device_scale_factor": 2},
}
TABLE = (
    "| Signal | Number | What the process may do about it |\n|---|---|---|\n"
    "| SIGTERM | 15 | Clean up, close its files and sockets, and end by itself |\n"
)
LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3
CODE = "```bash\nps aux | head && " + "--option=value " * 20 + "\n```"
TEXT = f"{TABLE}\n{LONG_WORD}\n\n{CODE}\n\n" + "More text, so that the page must scroll. " * 40

# How much of the window's height shows the answer: between what stands above it and the votes.
ANSWER_SHARE = """() => {
  const box = (selector) => document.querySelector(selector).getBoundingClientRect();
  const top = Math.max(box("#pane-left").top, box(".prompt").bottom);
  return (Math.min(box("#pane-left").bottom, box(".votes").top) - top) / innerHeight;
}"""
CLIPPED = """(steps) => steps.filter(
  (step) => step.scrollWidth > step.clientWidth || step.scrollHeight > step.clientHeight + 1).length"""
LINES_OF_WORDS = """(cells) => cells.map((cell) => {
  const range = document.createRange();
  const text = cell.firstChild;
  return [...text.data.matchAll(/\\S+/g)].map((word) => {
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    return new Set([...range.getClientRects()].map((line) => line.top)).size;
  });
}).flat()"""


@pytest.fixture
def opened(visit):
    campaign = help_desk(line_id=LINE, texts=(TEXT, TEXT + "."))
    ann = person_create("ann", "annotator", line=LINE)

    def open_at(screen: str):
        page = visit(ann, f"/compare/{campaign.pk}/", **SCREENS[screen])
        expect(page.locator("#item")).to_be_visible()
        return page

    return open_at


@pytest.mark.parametrize("screen", SCREENS)
def test_one_answer_at_a_time_is_read_and_judged_on_a_small_screen(opened, screen):
    page = opened(screen)
    _steps_name_their_side(page)
    assert page.evaluate(ANSWER_SHARE) >= 0.5
    _wide_parts_stay_in_their_own_boxes(page, SCREENS[screen]["viewport"]["width"])
    page.evaluate("scrollTo(0, 200)")
    assert page.evaluate(ANSWER_SHARE) >= 0.5


def _steps_name_their_side(page):
    steps = page.locator("#overall label")
    words = [" ".join(text.split()).rstrip("1234567 ") for text in steps.all_inner_texts()]
    strengths = ("much better", "better", "slightly better")
    expected = [f"A {s}" for s in strengths] + ["tie"] + [f"B {s}" for s in reversed(strengths)]
    assert words == expected
    assert steps.evaluate_all(CLIPPED) == 0


def _wide_parts_stay_in_their_own_boxes(page, width):
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert set(page.locator("#left :is(th, td)").evaluate_all(LINES_OF_WORDS)) == {1}
    code = page.locator("#left pre")
    code.focus()
    expect(code).to_be_focused()
    before = code.evaluate("(box) => box.scrollLeft")
    page.evaluate("document.activeElement.scrollLeft = 50")
    assert code.evaluate("(box) => box.scrollLeft") > before


def test_a_long_prompt_is_cut_low_and_opens_with_the_focus(opened):
    page = opened("1440 x 900 at 200 %")
    page.evaluate("document.getElementById('prompt').innerHTML = '<p>A long prompt.</p>'.repeat(9)")
    assert page.evaluate(ANSWER_SHARE) >= 0.5
    low = page.locator("#prompt").bounding_box()["height"]
    page.locator("#prompt").focus()
    assert page.locator("#prompt").bounding_box()["height"] > 4 * low


def test_where_both_answers_are_seen_the_ends_of_the_scale_name_the_sides(visit):
    campaign = help_desk(line_id=LINE)
    page = visit(person_create("ann", "annotator", line=LINE), f"/compare/{campaign.pk}/")
    expect(page.locator(".scale__end").first).to_have_text("A")
    expect(page.locator(".scale__end").first).to_be_visible()
    expect(page.locator("#overall").get_by_text("A slightly better")).to_be_hidden()
