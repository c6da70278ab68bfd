"""The texts of a pair in a real browser: what was written is seen, and nothing that differs looks equal."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.campaigns.models import Campaign
from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from tests.annotation.comparisons.test_written import ALIKE
from tests.annotation.factories import a_campaign
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=85)
PROGRAM = "def f(x):\n  if x:\n    return __init__\n  return a*b*c\\n"
FOLDED = "def f(x): if x: return **init** return a*b*c\\n"


def pairs_of(
    *texts: tuple[str, str], turns: tuple[dict[str, str], ...] = (), **settings: Any
) -> Campaign:
    """A campaign with one pair for each of `texts`, after the turns."""
    campaign = a_campaign(line_id=LINE, **settings)
    asked = [
        NewPrompt(messages=(*turns, {"role": "user", "content": f"Question {n}?"}), split="train")
        for n in range(len(texts))
    ]
    prompts = prompts_ensure(line_id=LINE, prompts=asked)
    pairs_create(
        campaign=campaign,
        purpose="training",
        pairs=[
            NewPair(
                p.pk, (NewCompletion(one, uuid.UUID(int=1)), NewCompletion(two, uuid.UUID(int=2)))
            )
            for p, (one, two) in zip(prompts, texts, strict=True)
        ],
    )
    return campaign


def opened(visit: Any, campaign: Campaign, name: str = "ann") -> Page:
    page: Page = visit(person_create(name, "annotator", line=LINE), f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    return page


def test_two_programs_look_like_two_programs_and_a_key_shows_them_raw(visit):
    campaign = pairs_of((PROGRAM, FOLDED))
    page = opened(visit, campaign)
    texts = [page.locator(f"#{side}").inner_text() for side in ("left", "right")]
    assert sorted(texts) == sorted([PROGRAM, FOLDED.replace("**", "")])
    left = page.locator(".kept").first
    assert left.evaluate("(span) => span.getBoundingClientRect().width") > 4
    page.keyboard.press("r")
    expect(page.locator("#raw")).to_have_attribute("aria-pressed", "true")
    raw = [page.locator(f"#{side} .raw").text_content() for side in ("left", "right")]
    assert set(raw) == {PROGRAM, FOLDED}
    page.wait_for_load_state("networkidle")
    page.reload()  # remembered for the person, so also after a reload and on another device
    expect(page.locator("#left .raw")).to_be_visible()
    page.locator("#raw").click()
    expect(page.locator("#left .raw")).to_have_count(0)


def test_a_campaign_whose_texts_are_no_markdown_shows_them_raw_until_one_chooses(visit):
    page = opened(visit, pairs_of((PROGRAM, FOLDED), markdown=False))
    expect(page.locator("#left .raw")).to_be_visible()
    page.keyboard.press("r")
    expect(page.locator("#left .raw")).to_have_count(0)
    page.wait_for_load_state("networkidle")
    page.reload()
    expect(page.locator("#item")).to_be_visible()
    expect(page.locator("#left .raw")).to_have_count(0)


def test_a_system_prompt_and_earlier_turns_are_open_at_once(visit):
    turns = (
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
    )
    page = opened(visit, pairs_of(("Yes", "No"), turns=turns))
    expect(page.locator("#thread")).to_be_visible()
    expect(page.locator("#thread")).to_contain_text("Answer in one word.")
    expect(page.locator("#thread li")).to_have_count(3)
    page.keyboard.press("t")
    expect(page.locator("#thread")).to_be_hidden()


def test_a_single_question_has_no_thread_to_open(visit):
    page = opened(visit, pairs_of(("Yes", "No")))
    expect(page.locator("#thread")).to_be_hidden()
    expect(page.locator("#toggle-thread")).to_be_hidden()


def test_no_kind_of_difference_is_drawn_as_none(visit):
    """Every kind, drawn by Chromium: the two answers differ in their pixels, or both say where they
    differ, and the marked words then show the difference."""
    campaign = pairs_of(*ALIKE.values())
    page = opened(visit, campaign)
    asked = set()
    for _ in ALIKE:
        prompt = page.locator("#prompt").inner_text()
        asked.add(prompt)
        sides = [page.locator(f"#{side}") for side in ("left", "right")]
        marks = [side.locator("button.otherwise").count() for side in sides]
        if not all(marks):
            drawn = [side.screenshot() for side in sides]
            assert drawn[0] != drawn[1], prompt
        page.locator("button.otherwise").first.click()
        expect(page.locator("#diff")).to_have_attribute("aria-pressed", "true")
        words = [side.inner_text() for side in sides]
        assert words[0] != words[1], (prompt, words)
        page.keyboard.press("4")
        page.keyboard.press("Control+Enter")
        if len(asked) < len(ALIKE):
            expect(page.locator("#prompt")).not_to_have_text(prompt)
    assert len(asked) == len(ALIKE)
