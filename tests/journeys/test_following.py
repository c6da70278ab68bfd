"""Pages that say they follow, left open in a real browser: they follow to the end, and take nothing away."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from annotation.exchange import services as exchange
from annotation.exchange.models import ImportJob
from evaluation.gates.services import decisions
from outerloop.rounds.models import PolicyLine, Round, RoundStep, State
from outerloop.rounds.record import record_refresh
from outerloop.rounds.services import round_start
from tests.outerloop.rounds.world import Evidence, LoopWorld, advance_through
from tests.support.browser import PHONE
from tests.support.fake_runs import fake_programs
from tests.support.people import person_create
from training import facade as training

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
POLLS = 2_600  # ms: more than one poll of a page that is asked for every two seconds


@pytest.fixture
def loop(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopWorld:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0.05
    fake_programs(monkeypatch)()
    monkeypatch.setattr(decisions, "round_measure", Evidence())
    return LoopWorld(tmp_path)


@pytest.fixture
def evaluating(loop: LoopWorld) -> Round:
    round_ = round_start(line=loop.line, trigger="person")
    return advance_through(round_, upto=State.POLICY_EVALUATION)


def polls(page: Page) -> list[str]:
    """The addresses that the page asks for by itself from now on."""
    asked: list[str] = []
    page.on(
        "request", lambda sent: asked.append(sent.url) if sent.headers.get("hx-request") else None
    )
    return asked


def test_a_round_page_left_open_through_its_verdict_tells_it_and_asks_for_the_decision(
    visit: Callable[..., Page], loop: LoopWorld, evaluating: Round
) -> None:
    page = visit(person_create("lea", "lead"), f"/lines/{loop.line.slug}/rounds/1/")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Evaluating the policy")
    expect(page.get_by_role("button", name="Cancel round")).to_be_visible()

    advance_through(evaluating)
    record_refresh(evaluating)
    expect(heading).to_contain_text("Waiting for approval")
    expect(page).to_have_title(re.compile("^Waiting for approval"))
    expect(page.get_by_text("Read the report, then approve the deployment").first).to_be_visible()
    expect(page.get_by_role("button", name="Approve and deploy")).to_be_visible()
    expect(page.get_by_role("link", name="Read the report")).to_be_visible()

    Round.objects.update(state=State.CLOSED, closed_at=evaluating.created_at, verdict="PROMOTE")
    expect(heading).to_contain_text("PROMOTE")
    expect(page.get_by_role("button", name="Cancel round")).to_have_count(0)
    expect(page.get_by_role("button", name="Approve and deploy")).to_have_count(0)
    asked = polls(page)
    page.wait_for_timeout(POLLS)
    assert asked == []  # nothing can change any more


def test_focus_open_details_and_what_was_typed_stay_through_polls(
    visit: Callable[..., Page], loop: LoopWorld, evaluating: Round
) -> None:
    advance_through(evaluating)
    page = visit(person_create("lea", "lead"), f"/lines/{loop.line.slug}/rounds/1/")
    step = page.locator("#details-REWARD_TRAINING")
    step.locator("summary").click()
    reason = page.get_by_label("Reason (asked for when you hold back)")
    reason.fill("The tone is")
    asked = polls(page)
    RoundStep.objects.filter(name=State.SNAPSHOT).update(note="Told while the page was open.")
    expect(page.get_by_text("Told while the page was open.")).to_be_visible()
    page.wait_for_timeout(POLLS)
    assert len(asked) >= 2
    expect(reason).to_be_focused()
    expect(reason).to_have_value("The tone is")
    page.keyboard.type(" wrong.")
    expect(reason).to_have_value("The tone is wrong.")
    expect(step).to_have_attribute("open", "")

    summary = step.locator("summary")
    summary.focus()
    RoundStep.objects.filter(name=State.SNAPSHOT).update(note="And told once more.")
    expect(page.get_by_text("And told once more.")).to_be_visible()
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")  # closing it is the person's as well
    page.wait_for_timeout(POLLS)
    expect(step).not_to_have_attribute("open", "")


def test_only_words_are_read_aloud(
    visit: Callable[..., Page], loop: LoopWorld, evaluating: Round
) -> None:
    page = visit(person_create("lea", "lead"), f"/lines/{loop.line.slug}/rounds/1/")
    spoken = page.locator("[aria-live=polite], [role=status], [role=alert]")
    expect(spoken).to_have_count(1)
    expect(spoken).to_have_text("Evaluating the policy. This page follows the round to its end.")
    page.evaluate(
        "() => { window.heard = 0; new MutationObserver(() => window.heard++).observe("
        "document.querySelector('[aria-live]'), {subtree: true, childList: true, characterData: true}) }"
    )
    page.wait_for_timeout(2 * POLLS)
    assert page.evaluate("window.heard") == 0
    advance_through(evaluating)
    expect(spoken).to_contain_text("The gate says PROMOTE.")


def test_a_line_page_follows_from_labels_to_a_round_and_back(
    visit: Callable[..., Page], loop: LoopWorld
) -> None:
    PolicyLine.objects.filter(pk=loop.line.pk).update(minimum_fresh_labels=1)
    round_ = loop.round(State.POLICY_TRAINING)
    page = visit(person_create("eve", "engineer"), f"/lines/{loop.line.slug}/", viewport=PHONE)
    expect(page.get_by_role("link", name="Open round 1")).to_be_visible()
    expect(page.get_by_text("Round 1 is under way.")).to_be_visible()
    Round.objects.filter(pk=round_.pk).update(state=State.CLOSED)
    expect(page.get_by_text("Enough new labels are in: a round can start.")).to_be_visible()
    expect(page.get_by_role("button", name="Start now")).to_be_visible()
    expect(page.get_by_role("link", name="Open round 1")).to_have_count(0)


def test_an_import_page_follows_to_its_end(
    visit: Callable[..., Page], loop: LoopWorld, settings: Any, tmp_path: Path
) -> None:
    settings.VAR_DIR = tmp_path
    path = exchange.upload_store(name="a.jsonl", chunks=[b'{"prompt": "What is 1 + 1?"}\n'])
    job: ImportJob = exchange.import_create(line_id=loop.line.id, path=path)
    page = visit(person_create("eve", "engineer"), f"/data/imports/{job.pk}/")
    expect(page.get_by_text("waits for a worker")).to_be_visible()
    exchange.import_run(job_id=job.pk)
    expect(page.get_by_role("status")).to_contain_text("Done")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)


def test_a_run_that_ends_takes_its_button_along(
    visit: Callable[..., Page], loop: LoopWorld
) -> None:
    run = training.run_create(line_id=loop.line.id, kind="ppo", seed=1, config={}, inputs={})
    page = visit(person_create("eve", "engineer"), f"/runs/{run.id}/")
    expect(page.get_by_role("button", name="Cancel run")).to_be_visible()
    training.run_cancel(run_id=run.id)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel run")).to_have_count(0)


def test_a_page_whose_reader_was_signed_out_leads_to_the_sign_in(
    visit: Callable[..., Page], loop: LoopWorld, evaluating: Round
) -> None:
    page = visit(person_create("lea", "lead"), f"/lines/{loop.line.slug}/rounds/1/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("round 1")
    Session.objects.all().delete()
    page.wait_for_url(re.compile("/accounts/login/"))
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
