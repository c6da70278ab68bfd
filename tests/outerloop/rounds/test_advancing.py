"""Moving a round: who may, what a second message does, and how a round ends and goes on."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotation import facade as annotation
from outerloop.rounds.claims import (
    ClaimLost,
    round_move,
    step_claim,
    step_heartbeat,
    step_release,
)
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.mending import round_take_up
from outerloop.rounds.models import ENDS, Round, RoundStep, State
from outerloop.rounds.selectors import rounds_without_worker
from outerloop.rounds.services import (
    round_advance,
    round_cancel,
    round_start,
)
from outerloop.rounds.steps import Move, StepFailed, Wait
from tests.annotation.factories import some_pairs
from tests.outerloop.rounds.world import LoopWorld, advance_through, known, step_of
from training import facade as training
from training.runs.models import Run
from web.models import AuditEvent

ACTIVE = [state for state in State if state not in ENDS]


def started(loop):
    return round_start(line=loop.line, trigger="person")


def lease_end(step, **delta):
    RoundStep.objects.filter(pk=step.pk).update(
        lease_expires_at=timezone.now() + timedelta(**delta)
    )


def test_a_round_moves_step_by_step_and_writes_down_what_each_did(loop, steps):
    steps.outcomes[State.SNAPSHOT] = Move(
        State.REWARD_TRAINING, ("a",), ("b",), "three", {"summary": "so far"}
    )
    round_ = started(loop)
    assert round_advance(round_id=round_.id) == State.REWARD_TRAINING
    round_.refresh_from_db()
    assert (round_.state, round_.summary) == (State.REWARD_TRAINING, "so far")
    done = step_of(round_, State.SNAPSHOT)
    assert (done.read, done.wrote, done.note) == (["a"], ["b"], "three")
    assert done.started_at is not None
    assert done.finished_at is not None
    assert (done.lease_owner, done.lease_expires_at) == ("", None)
    assert advance_through(round_).state == State.CLOSED
    assert round_.closed_at is not None
    assert steps.worked == [State.SNAPSHOT, State.REWARD_TRAINING, State.POLICY_TRAINING]


def test_a_message_for_a_round_that_ended_does_nothing(loop, steps):
    round_ = advance_through(started(loop))
    worked = list(steps.worked)
    assert round_advance(round_id=round_.id) is None
    assert steps.worked == worked


def test_a_second_message_while_a_worker_holds_the_step_does_nothing(loop, steps):
    round_ = started(loop)
    inside = []

    def again(context):
        inside.append(round_advance(round_id=round_.id))
        return Move(State.REWARD_TRAINING)

    steps.outcomes[State.SNAPSHOT] = again
    round_advance(round_id=round_.id)
    assert inside == [None]
    assert steps.worked == [State.SNAPSHOT]
    assert step_of(round_, State.SNAPSHOT).fence == 1


def test_a_waiting_step_is_given_back_and_tried_again(loop, steps):
    steps.outcomes[State.SNAPSHOT] = Wait("Labels are missing.")
    round_ = started(loop)
    assert round_advance(round_id=round_.id) is None
    step = step_of(round_)
    assert (step.note, step.lease_owner, step.lease_expires_at) == ("Labels are missing.", "", None)
    assert rounds_without_worker() == [round_]
    del steps.outcomes[State.SNAPSHOT]
    assert round_advance(round_id=round_.id) == State.REWARD_TRAINING


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StepFailed("No prompts."), "No prompts."),
        (training.RunFailed("Out of memory."), "Out of memory."),
        (training.ArtifactMismatch("policy v1: damaged."), "policy v1: damaged."),
        (LookupError("No evaluation."), "No evaluation."),
        (ZeroDivisionError("oops"), "Unexpected error: ZeroDivisionError('oops')"),
    ],
)
def test_a_failing_step_fails_the_round_with_its_own_sentence(loop, steps, error, message):
    steps.outcomes[State.REWARD_TRAINING] = error
    round_ = advance_through(started(loop))
    assert (round_.state, round_.error) == (State.FAILED, message)
    assert round_.closed_at is not None
    step = step_of(round_, State.REWARD_TRAINING)
    assert (step.note, step.finished_at, step.lease_expires_at) == (message, None, None)


def test_a_failed_round_goes_on_in_the_step_that_failed(loop, steps):
    steps.outcomes[State.REWARD_TRAINING] = StepFailed("No disk.")
    round_ = advance_through(started(loop))
    del steps.outcomes[State.REWARD_TRAINING]
    round_take_up(round_=round_, actor="eve")
    round_.refresh_from_db()
    assert (round_.state, round_.error, round_.closed_at) == (State.REWARD_TRAINING, "", None)
    assert advance_through(round_).state == State.CLOSED
    assert steps.worked.count(State.SNAPSHOT) == 1
    assert steps.worked.count(State.REWARD_TRAINING) == 2
    assert AuditEvent.objects.filter(verb="took up round", actor="eve").exists()


def test_the_run_of_a_failed_round_is_cancelled_until_the_round_is_taken_up(loop, steps):
    """No page would reach it: a scheduler's job of it would keep its GPUs."""
    steps.outcomes[State.REWARD_TRAINING] = Wait("In the queue.")
    round_ = advance_through(started(loop))
    run = Run.objects.create(
        line=loop.line.id, round=round_.id, kind="reward_model", seed=1, spec={}, spec_sha256=""
    )
    RoundStep.objects.filter(round=round_, name=State.REWARD_TRAINING).update(run=run.id)
    steps.outcomes[State.REWARD_TRAINING] = OSError("Stale file handle")
    round_ = advance_through(round_)
    run.refresh_from_db()
    assert (round_.state, run.state) == (State.FAILED, "cancelled")
    round_take_up(round_=round_, actor="eve")
    run.refresh_from_db()
    assert run.state == "pending"


def test_what_may_not_be_taken_up_is_said(loop, steps):
    round_ = started(loop)
    with pytest.raises(RoundRefused, match="only a failed or cancelled round"):
        round_take_up(round_=round_, actor="eve")
    steps.outcomes[State.SNAPSHOT] = StepFailed("No.")
    advance_through(round_)
    later = loop.round(State.DECIDED)
    with pytest.raises(RoundRefused, match="Another round of this line is active"):
        round_take_up(round_=round_, actor="eve")
    Round.objects.filter(pk=later.pk).update(state=State.CLOSED)
    with pytest.raises(RoundRefused, match="A later round exists"):
        round_take_up(round_=round_, actor="eve")


@pytest.mark.parametrize("state", ACTIVE)
def test_a_round_is_cancelled_from_every_state_and_can_be_taken_up(loop, steps, state):
    round_ = loop.round(state)
    round_cancel(round_=round_, actor="eve")
    assert round_advance(round_id=round_.id) is None
    round_.refresh_from_db()
    assert (round_.state, round_.error) == (State.CANCELLED, "Cancelled by a person.")
    assert steps.worked == []
    assert AuditEvent.objects.filter(verb="cancelled round").count() == 1
    round_take_up(round_=round_, actor="eve")
    round_.refresh_from_db()
    assert (round_.state, round_.cancel_requested_at) == (state, None)
    assert advance_through(round_).state == State.CLOSED


def test_a_stopped_round_asks_nobody_for_labels_until_it_is_taken_up(loop, steps):
    round_ = loop.round(State.AWAITING_LABELS)
    some_pairs(loop.campaign, 3, purpose="gate", round_id=round_.id, split="evaluation")
    round_cancel(round_=round_, actor="eve")
    round_advance(round_id=round_.id)
    assert annotation.gate_queue_status(round_id=round_.id).open == 0
    round_take_up(round_=round_, actor="eve")
    assert annotation.gate_queue_status(round_id=round_.id).open == 3


def test_cancelling_twice_or_after_the_end_changes_nothing(loop):
    round_ = loop.round(State.DECIDED)
    for _ in range(2):
        round_cancel(round_=round_, actor="eve")
    closed = loop.round(State.CLOSED)
    round_cancel(round_=closed, actor="eve")
    closed.refresh_from_db()
    assert closed.cancel_requested_at is None
    assert AuditEvent.objects.filter(verb="cancelled round").count() == 1


def test_a_step_is_claimed_once_and_anew_when_its_lease_ran_out(loop):
    round_ = loop.round(State.POLICY_TRAINING)
    first = step_claim(round_, owner="one")
    assert first is not None
    assert step_claim(round_, owner="two") is None
    lease_end(first, seconds=-1)
    second = step_claim(round_, owner="two")
    assert second is not None
    assert (second.pk, second.fence, second.lease_owner) == (first.pk, 2, "two")
    assert second.started_at == first.started_at


def test_a_worker_that_lost_its_step_can_do_nothing_with_it(loop):
    round_ = loop.round(State.POLICY_TRAINING)
    lost = known(step_claim(round_, owner="one"))
    lease_end(lost, seconds=-1)
    step_claim(round_, owner="two")
    for act in (
        lambda: step_heartbeat(lost),
        lambda: step_release(lost),
        lambda: round_move(lost, to=State.POLICY_EVALUATION, summary="mine"),
    ):
        with pytest.raises(ClaimLost):
            act()
    round_.refresh_from_db()
    assert (round_.state, round_.summary) == (State.POLICY_TRAINING, "")
    assert step_of(round_).lease_owner == "two"


@pytest.mark.parametrize(
    "outcome", [Move(State.DECIDED), Wait("."), StepFailed("mine"), OSError(5)]
)
def test_whatever_a_worker_says_after_it_lost_the_step_does_not_count(loop, steps, outcome):
    round_ = loop.round(State.POLICY_TRAINING)

    def overtaken(context):
        lease_end(context.step, seconds=-1)
        assert step_claim(round_, owner="two") is not None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    steps.outcomes[State.POLICY_TRAINING] = overtaken
    assert round_advance(round_id=round_.id) is None
    round_.refresh_from_db()
    assert (round_.state, round_.error) == (State.POLICY_TRAINING, "")
    assert step_of(round_).lease_owner == "two"


def test_a_step_can_move_its_round_once(loop):
    round_ = loop.round(State.DECIDED)
    step = known(step_claim(round_, owner="one"))
    round_move(step, to=State.SAMPLING_PAIRS)
    with pytest.raises(ClaimLost):
        round_move(step, to=State.DEPLOYING)
    round_.refresh_from_db()
    assert round_.state == State.SAMPLING_PAIRS


def test_the_sweeper_finds_rounds_that_nobody_holds(loop, tmp_path):
    lost, held, dead = (
        world.round(State.DECIDED) for world in (loop, LoopWorld(tmp_path), LoopWorld(tmp_path))
    )
    loop.round(State.CLOSED)
    step_claim(held, owner="alive")
    lease_end(step_claim(dead, owner="dead"), seconds=-1)
    assert set(rounds_without_worker()) == {lost, dead}


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_works_on_a_step(tmp_path, steps):
    round_ = LoopWorld(tmp_path).round(State.SNAPSHOT)
    begin, hold = threading.Barrier(4), threading.Event()
    outcomes = []

    def slow(context):
        hold.wait(10)
        return Move(State.CLOSED)

    steps.outcomes[State.SNAPSHOT] = slow

    def work():
        try:
            begin.wait()
            outcomes.append(round_advance(round_id=round_.id))
        finally:
            connection.close()
            if len(outcomes) >= 3:  # the three that found it held
                hold.set()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == [None, None, None, State.CLOSED]
    assert steps.worked == [State.SNAPSHOT]
