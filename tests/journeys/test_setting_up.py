"""From an empty database to an annotator who sees the campaign: a lead and one browser, no terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.exchange import services as exchange
from annotation.exchange import tasks as exchange_tasks
from annotation.exchange.models import ImportJob
from outerloop.rounds import bases, tasks
from outerloop.rounds.models import BaseOrder, PolicyLine, State
from tests.outerloop.rounds.world import model_folder
from tests.support.people import person_create
from training import facade as training

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in an allowed folder. Workers are asked by the test itself, and the model fits."""
    settings.VAR_DIR, settings.ARTIFACT_ROOT = tmp_path, tmp_path / "artifacts"
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path / "models")]
    monkeypatch.setattr(exchange_tasks.import_run, "delay", lambda job: None)
    for task in (tasks.advance, tasks.base_take):
        monkeypatch.setattr(task, "apply_async", lambda **sent: None)
    fits = "ok   chat template: 'user: What is a cat?'"
    monkeypatch.setattr(training, "model_check", lambda folder, **asked: fits)
    return model_folder(tmp_path / "models" / "small-chat")


def test_a_lead_sets_everything_up_in_the_browser_alone(
    visit: Any, folder: Path, live_server: Any, settings: Any
) -> None:
    settings.OUTERLOOP_SITE_URL = live_server.url
    page = visit(person_create("lea", "lead"), "/")
    page.get_by_role("link", name="Make a line").click()
    _line_make(page, folder)
    _campaign_make(page)
    _prompts_bring(page)
    link = _annotator_invite(page)
    _look_over(page)
    _annotator_begins(visit, link)
    page.reload()
    expect(page.locator("#step-people")).to_contain_text("1 person may compare.")


def _line_make(page: Page, folder: Path) -> None:
    page.get_by_label("Name", exact=True).fill("Help desk")
    page.get_by_label("Base policy").select_option(label=str(folder))
    page.get_by_role("button", name="Make the line").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Help desk: campaign")
    page.get_by_role("link", name="Base policy").click()
    expect(page.get_by_text("waits for a worker")).to_be_visible()
    bases.base_take(BaseOrder.objects.get().pk)
    expect(page.get_by_text("The line starts from “base policy”")).to_be_visible()  # it follows
    page.get_by_role("link", name="Next: campaign").click()


def _campaign_make(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("First answers")
    page.get_by_label(re.compile("Criteria")).fill("Honest\nBrief")
    page.get_by_label("Guidelines").fill("Prefer the answer that helps more.")
    page.get_by_label(re.compile("Answers in all")).fill("500")
    page.get_by_role("button", name="Create the draft").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Help desk: prompts")


def _prompts_bring(page: Page) -> None:
    questions = "\n".join(f"How do I end process {n}?" for n in range(30))
    page.get_by_label(re.compile("Or pasted")).fill(questions)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("An import is under way.").first).to_be_visible()
    exchange.import_run(job_id=ImportJob.objects.get().pk)
    expect(page.get_by_text("30 prompts,").first).to_be_visible()
    page.get_by_role("link", name="Next: people").click()


def _annotator_invite(page: Page) -> str:
    expect(page.get_by_text("No annotator yet").first).to_be_visible()
    page.get_by_role("textbox", name="User name").first.fill("ann")
    page.get_by_label("E-mail address").fill("ann@example.org")
    page.get_by_role("button", name="Invite").click()
    link = page.get_by_role("button", name="Copy the link").get_attribute("data-copy")
    assert link is not None
    page.get_by_role("link", name=re.compile("Next: review")).click()
    return link


def _look_over(page: Page) -> None:
    page.get_by_role("button", name="Start the campaign").click()
    expect(page.locator("#step-campaign")).to_contain_text("is open to annotators")
    page.get_by_role("button", name="Write first pairs").click()
    expect(page.get_by_text("The base policy is writing the first pairs.")).to_be_visible()
    line = PolicyLine.objects.get()
    assert line.rounds.get().state == State.SAMPLING_PAIRS
    page.goto(f"/lines/{line.slug}/set-up/")


def _annotator_begins(visit: Any, link: str) -> None:
    page = visit(None, link)
    page.get_by_label("New Password", exact=True).fill("a-good-long-phrase-7")
    page.get_by_label(re.compile("again", re.IGNORECASE)).fill("a-good-long-phrase-7")
    page.get_by_role("main").get_by_role("button").first.click()
    page.goto("/accounts/login/")
    page.get_by_label(re.compile("user ?name|login", re.IGNORECASE)).fill("ann")
    page.get_by_label("Password").fill("a-good-long-phrase-7")
    page.get_by_role("main").get_by_role(
        "button", name=re.compile("sign in", re.IGNORECASE)
    ).click()
    expect(page.get_by_text("First answers")).to_be_visible()
