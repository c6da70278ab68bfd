"""What stops a round, and how it goes on: the real steps and child processes, nothing learned."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from annotation.comparisons.models import Prompt
from evaluation import facade as evaluation
from outerloop.rounds import services
from outerloop.rounds.mending import round_take_up
from outerloop.rounds.models import Round, RoundStep, State
from outerloop.rounds.selectors import rounds_without_worker
from outerloop.rounds.services import round_cancel, round_start
from tests.outerloop.rounds.world import advance_through, known, run_of, step_of
from tests.support.fake_runs import updates
from tests.support.people import person_create
from training import facade as training


@pytest.fixture
def started(loop, behave, evidence):
    return round_start(line=loop.line, trigger="person")


def test_a_line_without_labels_fails_with_the_way_out(loop, behave, monkeypatch):
    round_ = loop.round()
    Round.objects.filter(pk=round_.pk).update(created_at=timezone.now() - timedelta(days=400))
    round_ = advance_through(round_)
    assert round_.state == State.FAILED
    assert "Label some pairs" in round_.error


def test_a_line_without_evaluation_prompts_fails_with_the_way_out(loop, started):
    Prompt.objects.filter(split="evaluation").delete()
    round_ = advance_through(started)
    assert (round_.state, step_of(round_, State.POLICY_EVALUATION).finished_at) == ("FAILED", None)
    assert "no prompts in the split evaluation" in round_.error
    loop.prompts("evaluation", 4)
    round_take_up(round_=round_, actor="eve")
    assert advance_through(round_).state == State.AWAITING_APPROVAL


def test_a_damaged_policy_fails_by_name_before_anything_is_spent(loop, started):
    (loop.base.path / "model.safetensors").write_bytes(b"not what it was")
    round_ = advance_through(started)
    assert round_.state == State.FAILED
    assert round_.error.startswith("base policy: ")
    assert training.runs_of_round(round_.id) == []


def test_a_candidate_damaged_before_deployment_is_not_deployed(loop, started):
    round_ = advance_through(started)
    lead = person_create("lea", "lead")
    evaluation.approval_record(round_id=round_.id, actor=lead, approve=True, reason="")
    candidate = training.model_version_get(known(round_.candidate))
    (candidate.path / "model.safetensors").write_bytes(b"not what it was")
    round_ = advance_through(round_)
    assert round_.state == State.FAILED
    assert round_.error.startswith(f"{candidate.name}: ")
    assert loop.deployed() == loop.base.id


def test_a_failing_program_fails_the_round_in_its_own_words_and_is_resumed(loop, started, behave):
    behave(fail="The graphics card ran out of memory.")
    round_ = advance_through(started)
    assert (round_.state, round_.error) == ("FAILED", "The graphics card ran out of memory.")
    behave()
    round_take_up(round_=round_, actor="eve")
    round_ = advance_through(round_)
    assert round_.state == State.AWAITING_APPROVAL
    run = run_of(round_, State.REWARD_TRAINING)
    assert (run.attempts, updates(run.directory)) == (2, [1, 2, 3])


def test_cancelling_lets_the_program_save_and_taking_up_resumes_it(
    loop, started, behave, monkeypatch
):
    behave(updates=400, seconds=0.02)
    with monkeypatch.context() as patch:
        patch.setattr("outerloop.rounds.steps.context.step_progress", cancelling(started, step=3))
        round_ = advance_through(started)
    assert (round_.state, round_.error) == (State.CANCELLED, "Cancelled by a person.")
    run = run_of(round_, State.REWARD_TRAINING)
    assert run.state == "cancelled"
    said = json.loads((run.directory / "error.json").read_text())
    assert said["exit_code"] == 130  # it ended by itself, with its checkpoint written
    done = len(updates(run.directory))
    behave(updates=done + 1)
    round_take_up(round_=round_, actor="eve")
    assert advance_through(round_).state == State.AWAITING_APPROVAL
    assert updates(run.directory) == list(range(1, done + 2))


def cancelling(round_, *, step):
    def progress(step_row, **shown):
        if shown["progress"] == step:
            round_cancel(round_=round_, actor="eve")

    return progress


def test_a_step_past_its_time_limit_fails_and_can_be_taken_up(loop, behave, evidence):
    limits = {"time_limits": {"reward_training": 0.02}}  # 1.2 s; the line's own plan has hours
    round_ = round_start(line=loop.line, trigger="person", changes=limits)
    behave(updates=400, seconds=0.02)
    round_ = advance_through(round_)
    assert round_.state == State.FAILED
    assert "time limit" in round_.error
    run = run_of(round_, State.REWARD_TRAINING)
    done = len(updates(run.directory))
    behave(updates=done + 1)
    round_take_up(round_=round_, actor="eve", mended=True)
    assert advance_through(round_).state == State.AWAITING_APPROVAL
    assert updates(run.directory) == list(range(1, done + 2))  # it went on where it was


def test_a_killed_program_is_started_again_and_the_round_goes_on(loop, started, behave):
    behave(updates=4, die_at=[2])
    round_ = advance_through(started)
    assert round_.state == State.AWAITING_APPROVAL
    run = run_of(round_, State.REWARD_TRAINING)
    assert (run.attempts, updates(run.directory)) == (2, [1, 2, 3, 4])


def test_a_program_killed_at_every_start_fails_the_round_which_can_be_taken_up(
    loop, started, behave
):
    behave(die_first=100)
    round_ = advance_through(started)
    assert round_.state == State.FAILED
    assert "ended from outside" in round_.error
    behave()
    round_take_up(round_=round_, actor="eve")
    assert advance_through(round_).state == State.AWAITING_APPROVAL


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_fails_no_round(loop, steps):
    steps.outcomes[State.SNAPSHOT] = OperationalError("server closed the connection unexpectedly")
    round_ = loop.round()
    assert services.round_advance(round_id=round_.id) is None
    round_.refresh_from_db()
    step = step_of(round_)
    assert (round_.state, round_.error, step.lease_expires_at) == (State.SNAPSHOT, "", None)
    assert "database was away" in step.note
    del steps.outcomes[State.SNAPSHOT]
    assert advance_through(round_).state == State.CLOSED


@pytest.mark.django_db(transaction=True)
def test_a_database_that_stays_away_leaves_the_step_to_its_lease(loop, steps, monkeypatch):
    steps.outcomes[State.SNAPSHOT] = OperationalError("server closed the connection unexpectedly")
    round_ = loop.round()

    def away(*_, **__):
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(services, "step_release", away)
        assert services.round_advance(round_id=round_.id) is None
    assert known(step_of(round_).lease_expires_at) > timezone.now()
    assert rounds_without_worker() == []  # until then
    RoundStep.objects.update(lease_expires_at=timezone.now())
    assert rounds_without_worker() == [round_]
