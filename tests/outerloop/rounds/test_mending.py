"""A round that failed has used up nothing, and may go on with a mended plan."""

from __future__ import annotations

import uuid
from dataclasses import fields

import pytest

from outerloop.rounds.dry_run import start_check
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.mending import ALWAYS, NEVER, READ_BY, round_take_up
from outerloop.rounds.models import Round, State
from outerloop.rounds.plan import RoundPlan, plan_override
from outerloop.rounds.selectors import fresh_labels, line_plan
from outerloop.rounds.services import line_plan_save, round_start
from outerloop.rounds.steps import StepFailed
from tests.outerloop.rounds.pages import said, text, url
from tests.outerloop.rounds.world import advance_through, step_of
from training import facade as training
from web.models import AuditEvent


def ended(loop, state, **more):
    """A round of the past, which had taken its snapshot."""
    round_ = loop.round(state, **more)
    Round.objects.filter(pk=round_.pk).update(snapshot=uuid.uuid4())
    return round_


def mend(loop, **changes):
    line_plan_save(line=loop.line, plan=plan_override(line_plan(loop.line), changes), actor="eve")


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_labels_of_a_round_that_decided_nothing_are_as_fresh_as_before(loop, state):
    assert fresh_labels(loop.line) == 3
    ended(loop, state)
    assert fresh_labels(loop.line) == 3
    loop.line.minimum_fresh_labels = 3
    assert start_check(line=loop.line).ready


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (State.CLOSED, "REJECT"),
        (State.CLOSED, "INCONCLUSIVE"),
        (State.FAILED, "PROMOTE"),  # while it was being deployed
        (State.POLICY_TRAINING, ""),  # under way: the next round begins with later ones
    ],
)
def test_a_round_that_decided_or_is_under_way_uses_its_labels(loop, state, verdict):
    ended(loop, state, verdict=verdict)
    assert fresh_labels(loop.line) == 0


def test_an_earlier_round_that_decided_counts_though_a_later_one_failed(loop):
    ended(loop, State.CLOSED, verdict="REJECT")
    ended(loop, State.FAILED)
    assert fresh_labels(loop.line) == 0


def test_a_night_after_a_failed_one_starts_again(loop, steps):
    steps.outcomes[State.REWARD_TRAINING] = StepFailed("No disk.")
    first = advance_through(round_start(line=loop.line, trigger="schedule"))
    assert first.state == State.FAILED
    del steps.outcomes[State.REWARD_TRAINING]
    second = advance_through(round_start(line=loop.line, trigger="schedule"))
    assert (second.number, second.state, second.fresh_labels) == (2, State.CLOSED, 3)


def test_a_round_goes_on_with_what_the_line_s_plan_says_now(loop, steps):
    steps.outcomes[State.POLICY_TRAINING] = StepFailed("Out of memory.")
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    mend(loop, policy={"updates": 3}, reward_model={"epochs": 5}, seed=99, next_pairs=2)
    del steps.outcomes[State.POLICY_TRAINING]
    left_behind = round_take_up(round_=round_, actor="eve", mended=True)
    assert left_behind == ["reward_model"]
    round_ = advance_through(round_)
    plan = RoundPlan.from_json(round_.plan)
    assert (plan.policy.updates, plan.next_pairs) == (3, 2)
    assert plan.reward_model.epochs != 5  # that model was trained already
    assert plan.seed == 7
    assert round_.state == State.CLOSED
    assert AuditEvent.objects.get(verb="took up round").detail == {"mended": True}


def test_the_step_that_stopped_orders_a_new_run(loop, behave):
    behave(fail="Out of memory.")
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    assert round_.state == State.FAILED
    failed = step_of(round_, State.REWARD_TRAINING).run
    assert failed is not None
    mend(loop, reward_model={"epochs": 5})
    round_take_up(round_=round_, actor="eve", mended=True)
    assert step_of(round_, State.REWARD_TRAINING).run is None
    behave()
    advance_through(round_)
    run = step_of(round_, State.REWARD_TRAINING).run
    assert run not in (None, failed)
    assert training.run_get(run).spec["config"]["epochs"] == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"time_limits": {"reward_training": 90.0}},
        {"policy": {"updates": 3}, "next_pairs": 2, "minimum_reward_accuracy": 0.6},
        {"optimizer": "dpo", "reference": "incumbent"},
    ],
)
def test_a_run_that_the_changes_leave_alone_goes_on_from_its_checkpoint(loop, behave, changes):
    behave(fail="Out of memory.")
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    failed = step_of(round_, State.REWARD_TRAINING).run
    mend(loop, **changes)
    round_take_up(round_=round_, actor="eve", mended=True)
    assert step_of(round_, State.REWARD_TRAINING).run == failed is not None
    behave()
    advance_through(round_)
    assert step_of(round_, State.REWARD_TRAINING).run == failed
    assert training.run_get(failed).state == "succeeded"


@pytest.mark.parametrize(
    ("step", "changes", "anew"),
    [
        (
            State.REWARD_EVALUATION,
            {"minimum_reward_accuracy": 0.6, "candidate": "incumbent"},
            False,
        ),
        (State.REWARD_EVALUATION, {"evaluate_reward_model": {"batch_size": 3}}, True),
        (State.POLICY_TRAINING, {"dpo": {"epochs": 9}, "evaluation_prompts": 5}, False),
        (State.POLICY_TRAINING, {"optimizer": "dpo"}, True),
        (State.POLICY_TRAINING, {"policy": {"updates": 3}}, True),
        (State.POLICY_TRAINING, {"reference": "incumbent"}, True),
        (State.POLICY_EVALUATION, {"optimizer": "dpo"}, False),  # of an A/A round: never trained
        (State.POLICY_EVALUATION, {"reference": "incumbent"}, True),
        (State.POLICY_EVALUATION, {"evaluation_prompts": 5}, True),
        (State.SAMPLING_PAIRS, {"random_share": 0.9}, False),
        (State.SAMPLING_PAIRS, {"selection": "double_thompson"}, False),
        (State.SAMPLING_PAIRS, {"oversample": 3.0}, True),
    ],
)
def test_a_run_begins_anew_where_a_setting_that_it_was_ordered_by_has_changed(
    loop, step, changes, anew
):
    run = uuid.uuid4()
    round_ = loop.round(State.FAILED)
    round_.steps.create(name=step, position=5, run=run, progress=3, total=9)
    mend(loop, **changes)
    round_take_up(round_=round_, actor="eve", mended=True)
    left = step_of(round_, step)
    assert (left.run, left.progress) == ((None, 0) if anew else (run, 3))


def test_a_plan_without_a_change_for_the_steps_left_is_refused(loop, steps):
    steps.outcomes[State.POLICY_TRAINING] = StepFailed("No disk.")
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    mend(loop, reward_model={"epochs": 5})  # it is trained
    with pytest.raises(RoundRefused, match="holds nothing new for the steps that are left"):
        round_take_up(round_=round_, actor="eve", mended=True)
    assert Round.objects.get(pk=round_.pk).state == State.FAILED


def test_every_setting_of_a_plan_has_the_step_that_reads_it_first():
    named = [*READ_BY, *NEVER, *ALWAYS]
    assert sorted(named) == sorted(field.name for field in fields(RoundPlan))


def test_an_engineer_finds_the_three_ways_on_the_page(
    as_, loop, steps, sent, django_capture_on_commit_callbacks
):
    steps.outcomes[State.POLICY_TRAINING] = StepFailed("Out of memory.")
    advance_through(round_start(line=loop.line, trigger="person"))
    page = text(as_("engineer").get(url("round", loop, 1)))
    for act in ("Take up again", "Take up with the mended plan", "Start a new round anyway"):
        assert act in page
        assert act not in text(as_("lead").get(url("round", loop, 1)))
    assert "Start a round with 3 new labels" in page
    response = as_("engineer").post(url("take_up", loop, 1), {"mended": "1"}, follow=True)
    assert "nothing new for the steps that are left" in said(response)[0]
    mend(loop, policy={"updates": 3}, snapshot={"recency_half_life_days": 4.0})
    with django_capture_on_commit_callbacks(execute=True):
        response = as_("engineer").post(url("take_up", loop, 1), {"mended": "1"}, follow=True)
    assert said(response) == [
        "Round 1 goes on with the line's plan of now.",
        "Steps that are done keep their settings: snapshot.",
    ]
    assert len(sent) == 1


def test_only_the_last_round_offers_a_new_one(as_, loop):
    loop.round(State.FAILED)
    loop.round(State.CLOSED, verdict="REJECT")
    page = text(as_("engineer").get(url("round", loop, 1)))
    assert "Start a new round anyway" not in page
