"""The second opinion of a round: who switches it on, what it costs a round, and where it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annotation import facade as annotation
from evaluation import facade as evaluation
from evaluation.contracts import SignalOpinion
from outerloop.rounds import signal_opinion
from outerloop.rounds.models import RoundOpinion, State
from outerloop.rounds.plan import plan_read
from outerloop.rounds.record import record_build
from outerloop.rounds.services import round_start
from outerloop.rounds.steps.context import StepContext
from tests.annotation.signals.conversations import asked, names, thumbs_given
from tests.outerloop.rounds.pages import text, url
from tests.outerloop.rounds.signalled import OPINION
from tests.outerloop.rounds.world import advance_through
from training import facade as training


def switched(loop: Any, on: bool = True) -> None:
    act = {"line_id": loop.line.id, "actor": "a", "name": "x"}
    annotation.signals_switch(**act, on=True)
    annotation.signal_opinion_switch(**act, on=on)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """In place of the program: what it was given."""
    given: list[dict[str, Any]] = []

    def ask(*, beat: Any, **order: Any) -> SignalOpinion:
        beat()
        assert order["reward_model"].is_dir()
        given.append(order)
        return OPINION

    monkeypatch.setattr(evaluation, "signal_opinion_ask", ask)
    return given


def measured(loop: Any) -> Any:
    round_ = round_start(line=loop.line, trigger="person", forced=True)
    return advance_through(round_, upto=State.POLICY_TRAINING)


def test_a_round_trains_no_head_unless_a_lead_asked_for_it(loop, behave, asking):
    switched(loop, on=False)
    assert measured(loop).state == State.POLICY_TRAINING
    assert asking == []
    assert not RoundOpinion.objects.exists()


def test_the_head_is_given_the_round_s_models_and_no_name_of_a_user(loop, behave, asking):
    switched(loop)
    thumbs_given(loop.line.id, loop.base.id, asked("Why?"), names("u", 3))
    round_ = measured(loop)
    (order,) = asking
    assert order["preferences"] == training.snapshot_get(round_.snapshot).path
    assert [each["user"] for each in order["examples"]] == ["0", "1", "2"]
    assert {(each["text"], each["up"]) for each in order["examples"]} == {("At noon.", False)}
    assert record_build(round_).signal_opinion == OPINION


def test_a_step_that_is_tried_again_asks_no_second_time(loop, behave, asking):
    switched(loop)
    round_ = measured(loop)
    round_.steps.filter(name=State.POLICY_TRAINING).delete()
    round_.state = State.REWARD_EVALUATION
    round_.save()
    signal_opinion.opinion_take(context_of(loop, round_))
    assert len(asking) == 1


def context_of(loop: Any, round_: Any) -> Any:
    step = round_.steps.get(name=State.REWARD_EVALUATION)
    return StepContext(round_, loop.line, plan_read(round_.plan), step, "me")


def test_a_head_that_cannot_be_trained_stops_no_round(loop, behave, monkeypatch):
    switched(loop)

    def ask(**order: Any) -> SignalOpinion:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluation, "signal_opinion_ask", ask)
    round_ = measured(loop)
    assert round_.state == State.POLICY_TRAINING
    assert "No space left" in RoundOpinion.objects.get().found["problem"]


@pytest.mark.slow
def test_the_program_itself_says_that_there_are_too_few_users(loop, behave):
    switched(loop)
    thumbs_given(loop.line.id, loop.base.id, asked("Why?"), names("u", 3))
    round_ = measured(loop)
    assert round_.state == State.POLICY_TRAINING
    found = record_build(round_).signal_opinion
    assert found is not None
    assert "3 users said something of answers that are still kept" in found.problem
    assert (found.votes, found.users) == (3, 3)


@pytest.mark.slow
def test_a_program_that_breaks_off_is_told_by_its_last_line(loop, tmp_path: Path):
    order: dict[str, Any] = {
        "text": "x",
        "other": None,
        "up": True,
        "messages": [],
        "conversation": "c",
    }
    found = evaluation.signal_opinion_ask(
        reward_model=tmp_path,
        preferences=tmp_path,
        examples=[{**order, "user": str(i)} for i in range(60)],
        beat=lambda: None,
    )
    assert "The program broke off: " in found.problem
    assert "not a reward model" in found.problem


def test_a_lead_switches_it_and_the_page_and_the_report_show_it(as_, loop, behave, asking):
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    assert as_("engineer").post(url("signals", loop), {"opinion": "yes"}).status_code == 403
    page = text(as_("lead").post(url("signals", loop), {"opinion": "yes"}, follow=True))
    assert "Train no head on signals" in page
    assert "No round has measured its reward model" in page
    assert annotation.signals_on(loop.line.id)
    round_ = measured(loop)
    page = text(as_("engineer").get(url("signals", loop)))
    assert "users 75, of whom none weighs more than 1.8%" in page
    assert "70% " in page
    assert "61% to 80%" in page
    assert "Train no head" not in page
    evaluation.report_store(record=record_build(round_))
    report = text(as_("engineer").get(f"/lines/{loop.line.slug}/rounds/{round_.number}/report/"))
    assert "40 pairs and 120 single thumbs of 75 users" in report
    page = text(as_("lead").post(url("signals", loop), {"opinion": "no"}, follow=True))
    assert "Train a head on signals each round" in page
    assert not annotation.signal_opinion_on(loop.line.id)
