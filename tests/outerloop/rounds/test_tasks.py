"""The Celery doors: what is handed on to which queue, and what is kept on the way."""

from __future__ import annotations

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from evaluation import facade as evaluation
from evaluation.reports.models import RoundReport
from outerloop.rounds import alarms, tasks
from outerloop.rounds.claims import step_claim
from outerloop.rounds.models import RoundStep, State
from outerloop.rounds.services import round_start
from outerloop.rounds.steps import Move, StepFailed, Wait
from tests.outerloop.rounds.world import known
from tests.support.people import person_create
from tests.support.workers import run_messages
from web.models import Notice


def test_learning_goes_to_the_gpu_queue_and_the_rest_to_the_default_one(
    loop, behave, evidence, sent
):
    person_create("lea", "lead")
    round_ = round_start(line=loop.line, trigger="person")
    tasks.advance_enqueue(round_.id, round_.state)
    assert run_messages(sent) == ["default", "gpu", "gpu", "gpu", "gpu", "default", "default"]
    round_.refresh_from_db()
    assert round_.state == State.AWAITING_APPROVAL
    assert Notice.objects.filter(user__username="lea", level="attention").count() == 1


def test_the_report_is_there_when_the_lead_is_asked_and_follows_the_round(
    loop, behave, evidence, sent
):
    round_ = round_start(line=loop.line, trigger="person")
    tasks.advance_enqueue(round_.id, round_.state)
    run_messages(sent)
    asked = known(evaluation.report_get(round_.id))
    assert (asked.state, known(asked.gate).verdict) == (
        "AWAITING_APPROVAL",
        "PROMOTE",
    )
    stored = RoundReport.objects.count()
    tasks.advance(str(round_.id))  # a message more changes nothing
    assert RoundReport.objects.count() == stored
    lead = person_create("lea", "lead")
    evaluation.approval_record(round_id=round_.id, actor=lead, approve=True, reason="")
    tasks.advance_enqueue(round_.id, State.AWAITING_APPROVAL)
    run_messages(sent)
    closed = known(evaluation.report_get(round_.id))
    assert closed.state == "CLOSED"
    assert [entry.name for entry in closed.states][-1] == "SAMPLING_PAIRS"
    assert len(closed.deployments) == 1


def test_a_round_stopped_by_its_reward_model_has_a_report_too(loop, behave, sent):
    behave(accuracy=[0.5, 0.4, 0.6])
    round_ = round_start(line=loop.line, trigger="person")
    tasks.advance_enqueue(round_.id, round_.state)
    run_messages(sent)
    record = known(evaluation.report_get(round_.id))
    assert record.gate is None
    assert known(known(record.reward_model).split("test")).accuracy.low == 0.4


def test_a_report_lost_with_its_worker_is_made_up_for(loop, behave, evidence, sent, monkeypatch):
    round_ = round_start(line=loop.line, trigger="person")
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "record_refresh", lambda _: None)
        tasks.advance_enqueue(round_.id, round_.state)
        run_messages(sent)
    assert evaluation.report_get(round_.id) is None
    tasks.advance(str(round_.id))
    assert evaluation.report_get(round_.id) is not None


def test_a_worker_killed_after_the_last_move_leaves_nobody_untold(
    loop, behave, evidence, sent, monkeypatch
):
    person_create("lea", "lead")
    loop.line.deploys_by_itself = True
    round_ = round_start(line=loop.line, trigger="person")
    tasks.advance_enqueue(round_.id, round_.state)
    run_messages(sent, limit=8)
    with monkeypatch.context() as patch:  # killed between the move and the rest
        patch.setattr(alarms, "round_alarms", lambda _: None)
        patch.setattr(tasks, "record_refresh", lambda _: None)
        run_messages(sent)
    round_.refresh_from_db()
    assert round_.state == State.CLOSED
    assert known(evaluation.report_get(round_.id)).state != "CLOSED"
    tasks.sweep()
    assert known(evaluation.report_get(round_.id)).state == "CLOSED"
    assert Notice.objects.filter(text__contains="is closed: PROMOTE").count() == 1
    before = RoundReport.objects.count()
    tasks.sweep()
    assert RoundReport.objects.count() == before


@pytest.mark.parametrize(
    "outcome", [Wait("."), StepFailed("No."), Move(State.CLOSED)], ids=["wait", "fail", "close"]
)
def test_a_round_that_waits_or_ended_is_not_handed_on(loop, steps, sent, outcome):
    steps.outcomes[State.SNAPSHOT] = outcome
    tasks.advance(str(loop.round().id))
    assert sent == []


def test_the_sweeper_hands_on_what_nobody_holds(loop, sent):
    round_ = loop.round(State.POLICY_TRAINING)
    step_claim(round_, owner="w")
    tasks.sweep()
    assert sent == []
    RoundStep.objects.update(lease_expires_at=timezone.now())
    tasks.sweep()
    assert sent == [(str(round_.id), "gpu")]


def test_a_broker_that_is_away_loses_no_round(loop, monkeypatch, caplog):
    def refuse(args, queue):
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.advance, "apply_async", refuse)
    tasks.advance_enqueue(loop.round().id, State.SNAPSHOT)
    assert "no message could be sent: connection refused" in caplog.text
