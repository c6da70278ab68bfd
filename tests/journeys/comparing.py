"""A campaign to compare in, and the steps that every journey on the compare page takes."""

from __future__ import annotations

import uuid
from typing import Any

from playwright.sync_api import Page, expect

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Judgment
from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from tests.annotation.factories import a_campaign

PAIRS = 40


def help_desk(
    *, line_id: uuid.UUID, texts: tuple[str, str] | None = None, **settings: Any
) -> Campaign:
    """A campaign of 40 pairs with prompts of their own; their answers are `texts` where given."""
    made = a_campaign(line_id=line_id, name="Help desk", daily_goal=40, **settings)
    turns = [({"role": "user", "content": f"What is {n} plus {n}?"},) for n in range(PAIRS)]
    prompts = prompts_ensure(
        line_id=line_id, prompts=[NewPrompt(messages=t, split="train") for t in turns]
    )
    pairs = []
    for n, prompt in enumerate(prompts):
        right = f"It is {2 * n}, which is right."
        wrong = f"It is `{2 * n + 1}`, I am quite sure."
        left, other = texts or (right, wrong)
        answers = (NewCompletion(left, uuid.UUID(int=1)), NewCompletion(other, uuid.UUID(int=2)))
        pairs.append(NewPair(prompt.pk, answers))
    pairs_create(campaign=made, purpose="training", pairs=pairs)
    return made


def prompt_shown(page: Page) -> str:
    return page.locator("#prompt").inner_text().strip()


def guidelines_read(page: Page) -> None:
    expect(page.locator("#guidelines")).to_be_visible()
    page.locator("#guidelines-done").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#item")).to_be_visible()


def wait_until_sent(page: Page, count: int) -> None:
    for _ in range(100):
        if Judgment.objects.filter(active=True).count() == count:
            return
        page.wait_for_timeout(50)
    assert Judgment.objects.filter(active=True).count() == count
