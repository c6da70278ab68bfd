"""The loop closes in a browser: an engineer starts a round, a lead approves it, another policy answers.

Everything is real (site, gate, labels, deployment, policy server) but the learning programs, which hand
out a tiny policy that was made before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from annotation import facade as annotation
from annotation.accounts.models import Rater
from annotation.comparisons.models import Assignment
from annotation.comparisons.services import prompts_ensure, queue_lease_next
from annotation.contracts import NewPrompt
from evaluation import facade as evaluation
from evaluation.gates.records import LineDeployment
from outerloop.rounds import tasks
from outerloop.rounds.models import PolicyLine, Round, State
from outerloop.rounds.plan import RoundPlan
from outerloop.rounds.services import line_base_set, line_create
from tests.annotation.factories import a_campaign, an_annotator, submit
from tests.evaluation.gates.serving.test_policy_server import Server
from tests.support.browser import PHONE
from tests.support.fake_runs import fake_programs
from tests.support.people import person_create
from tests.support.recipe_processes import forked_call
from tests.support.workers import run_messages
from training import facade as training

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]

PLAN = RoundPlan(evaluation_prompts=60, next_pairs=6, oversample=1.0)


class Loop:
    """A line at its very beginning: prompts, a first policy, an annotator, and nothing compared."""

    def __init__(self, policy: Path) -> None:
        self.line = line_create(name="Help desk", slug="help-desk", plan=PLAN)
        self.base = training.model_version_import(
            line_id=self.line.id, kind="policy", path=policy, name="first policy"
        )
        line_base_set(line=self.line, version_id=self.base.id, actor="set-up")
        for split, count in (("train", 10), ("evaluation", 60)):
            questions = [f"What is {n} plus {n} ({split})?" for n in range(count)]
            new = [
                NewPrompt(messages=({"role": "user", "content": q},), split=split)
                for q in questions
            ]
            prompts_ensure(line_id=self.line.id, prompts=new)
        self.campaign = a_campaign(line_id=self.line.id, gate_share=0.5)
        self.raters = [an_annotator(self.campaign) for _ in range(8)]  # as many as a gate asks for
        self.messages: list[tuple[str, str]] = []

    def label(self, better: Any = None) -> int:
        """Answer everything in the queue, for the policy `better` in six of seven pairs that have it."""
        labels = 0
        while self._answer(self.raters[labels % len(self.raters)], better, slip=labels % 7 == 6):
            labels += 1
        return labels

    def _answer(self, rater: Rater, better: Any, *, slip: bool) -> bool:
        lease = queue_lease_next(rater=rater, campaign=self.campaign)
        if lease is None:
            return False
        assignment = Assignment.objects.get(pk=lease.assignment_id)
        left = assignment.comparison.slots.get(position=assignment.shown_order[0])
        chosen = better in (None, left.completion.model_version)
        value = 2 if chosen != (slip and better is not None) else 6
        submit(rater, lease.assignment_id, value)
        return True

    @property
    def round(self) -> Round:
        return self.line.rounds.latest("number")


@pytest.fixture
def weights(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "first", tmp_path / "second"
    forked_call("tests.support.tiny_models", "tiny_policy_artifacts", *paths)
    return paths


@pytest.fixture
def loop(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: tuple[Path, Path]
) -> Loop:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    fake_programs(monkeypatch)(policy=str(weights[1]))
    made = Loop(weights[0])
    monkeypatch.setattr(
        tasks.advance, "apply_async", lambda args, queue: made.messages.append((args[0], queue))
    )
    return made


@pytest.fixture
def server(loop: Loop, tmp_path: Path) -> Iterator[Server]:
    made = Server(loop.line.id, tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


def sign_in(page: Page, name: str) -> None:
    page.locator("#id_login").fill(name)
    page.locator("#id_password").fill(f"secret-of-{name}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_round_from_an_empty_queue_to_another_policy_that_answers(
    visit: Any, loop: Loop, server: Server
) -> None:
    person_create("eve", "engineer", line=loop.line.id)
    person_create("lea", "lead", line=loop.line.id)
    server.served(_deployment(loop))
    before = server.ask()

    # the engineer lets the first policy write pairs; people label them
    page = visit(None, "/")
    sign_in(page, "eve")
    page.goto("/lines/help-desk/")
    page.get_by_role("button", name="Write first pairs").click()
    run_messages(loop.messages)
    assert (loop.round.number, loop.round.state) == (0, State.CLOSED)
    assert loop.label() == 6

    # then edits the schedule, and starts a round by hand
    page.goto("/lines/help-desk/")
    page.get_by_role("link", name="Schedule").click()
    page.get_by_label("Start rounds by schedule").check()
    page.get_by_label("At", exact=True).fill("03:15")
    page.get_by_label("Time zone").fill("Europe/Lisbon")
    page.get_by_label("New labels needed").fill("5")
    page.get_by_role("button", name="Save the schedule").click()
    expect(page.get_by_text("The schedule is saved.")).to_be_visible()
    expect(page.get_by_text("03:15 Europe/Lisbon")).to_be_visible()
    page.get_by_role("link", name="Dry run").click()
    expect(page.get_by_text("A round would start now")).to_be_visible()
    page.goto("/lines/help-desk/")
    page.get_by_role("button", name="Start now").click()
    expect(page.get_by_text("Round 1 has started.")).to_be_visible()

    # the page follows the round by itself until it waits for labels
    run_messages(loop.messages)
    assert loop.round.state == State.AWAITING_LABELS
    expect(page.get_by_text("60 pairs of candidate and incumbent wait for labels.")).to_be_visible()
    assert loop.label(better=loop.round.candidate) == 60
    tasks.advance_enqueue(loop.round.id, loop.round.state)
    run_messages(loop.messages)
    assert loop.round.state == State.AWAITING_APPROVAL, (loop.round.summary, loop.round.error)
    assert annotation.gate_queue_status(round_id=loop.round.id).open == 0

    # a lead is asked, reads the report and approves
    page = visit(None, "/")
    sign_in(page, "lea")
    page.goto("/")
    expect(page.get_by_role("main").get_by_text("Help desk").first).to_be_visible()
    page.goto("/lines/help-desk/rounds/1/")
    page.get_by_role("link", name="Read the report").click()
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
    expect(page.get_by_text("PROMOTE").first).to_be_visible()
    assert _fits_a_phone(page)
    page.get_by_role("button", name="Approve and deploy").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve and deploy").click()
    expect(page.get_by_text("the candidate is being deployed")).to_be_visible()
    run_messages(loop.messages)
    assert loop.round.state == State.CLOSED
    assert evaluation.deployed_version(loop.line.id) == loop.round.candidate
    assert annotation.queue_status(line_id=loop.line.id).open_training == 6

    # and another policy answers
    server.served(_deployment(loop))
    after = server.ask()
    assert after != before
    page.goto("/lines/help-desk/")
    candidate = training.model_version_get(_candidate(loop)).name
    deployed = page.locator("dl.facts dd").first
    expect(deployed).to_contain_text(candidate)
    expect(deployed).to_contain_text("served")
    assert not PolicyLine.objects.get().rounds.exclude(state=State.CLOSED).exists()


def _fits_a_phone(page: Page) -> bool:
    """Whether the page is no wider than a phone; the window is as wide as before afterwards."""
    before = page.viewport_size
    page.set_viewport_size(ViewportSize(width=PHONE["width"], height=PHONE["height"]))
    fits = page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    if before is not None:
        page.set_viewport_size(before)
    return bool(fits)


def _deployment(loop: Loop) -> LineDeployment:
    found = evaluation.deployment_current(loop.line.id)
    assert found is not None
    return found


def _candidate(loop: Loop) -> Any:
    candidate = loop.round.candidate
    assert candidate is not None
    return candidate
