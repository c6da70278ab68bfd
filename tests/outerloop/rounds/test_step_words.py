"""What the steps of a round say: what each read, wrote and did, and why it cannot go on, word by word."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from annotation.contracts import GateShares, LabelsReleased, NewCompletion, NewPair
from evaluation.contracts import Interval, RewardModelMeasurements
from outerloop.rounds.claims import ClaimLost
from outerloop.rounds.models import RoundStep, State
from outerloop.rounds.plan import RoundPlan
from outerloop.rounds.services import round_start
from outerloop.rounds.steps import Move, StepContext, StepFailed, asking, context, judging, learning
from outerloop.rounds.steps.deploying import deploy, sample_pairs
from tests.evaluation.policy.evidence import SPLIT
from tests.outerloop.rounds.test_steps import approve
from tests.outerloop.rounds.world import (
    PLAN,
    advance_through,
    bare_line,
    known,
    policy_import,
    run_of,
    step_of,
)
from training import facade as training
from web.models import AuditEvent


def sha(run, name):
    return next(a["sha256"] for a in run.artifacts if a["name"] == name)


def at(loop, state=State.SNAPSHOT, plan=PLAN, line=None, **fields) -> StepContext:
    """A step that has just been claimed, of a round put straight into the state; earlier ones are over."""
    loop.line.rounds.update(state=State.CLOSED)
    round_ = loop.round(state, plan=plan.to_json(), **fields)
    step = RoundStep.objects.create(round=round_, name=state, position=1)
    return StepContext(round_, line or round_.line, plan, step, "worker")


def refuses(sentence):
    return pytest.raises(StepFailed, match="^" + re.escape(sentence) + "$")


def test_each_step_says_what_it_read_wrote_and_did(loop, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    approve(round_)
    round_ = advance_through(round_)
    snapshot = training.snapshot_get(known(round_.snapshot)).sha256
    reward, held_out, candidate = (
        training.model_version_get(known(version))
        for version in (round_.reward_model, round_.held_out_reward_model, round_.candidate)
    )
    judged = run_of(round_, State.POLICY_EVALUATION)
    said = {
        step.name: (list(step.read), list(step.wrote), step.note) for step in round_.steps.all()
    }
    measured = sha(run_of(round_, State.REWARD_EVALUATION), "measurements")
    prompts = run_of(round_, State.POLICY_TRAINING).spec["inputs"]["prompts"]["sha256"]
    sampled = run_of(round_, State.SAMPLING_PAIRS).spec["inputs"]["prompts"]["sha256"]
    assert said["SNAPSHOT"] == ([], [f"snapshot {snapshot}"], "3 preferences")
    assert said["REWARD_TRAINING"] == (
        [f"snapshot {snapshot}", f"base policy {loop.base.sha256}"],
        [f"{reward.name} {reward.sha256}", f"{held_out.name} {held_out.sha256}"],
        f"{reward.name} (2 members) and its held-out guard",
    )
    assert said["REWARD_EVALUATION"] == (
        [f"reward model {reward.sha256}", f"snapshot {snapshot}"],
        [f"measurements {measured}"],
        "Agrees with 70% (65% to 75%) of the labels on 200 held-out pairs;"
        " always choosing by length, with 52% (48% to 56%).",
    )
    assert said["POLICY_TRAINING"] == (
        [
            f"policy {loop.base.sha256}", f"reference {loop.base.sha256}",
            f"reward model {reward.sha256}", f"prompts {prompts}",
        ],
        [f"{candidate.name} {candidate.sha256}"],
        f"{candidate.name}: 3 updates, all that were planned",
    )  # fmt: skip
    assert said["POLICY_EVALUATION"] == (
        [f"candidate {candidate.sha256}", f"incumbent {loop.base.sha256}"],
        [f"{name} {sha(judged, name)}" for name in ("samples", "highlights", "measurements")],
        "Gain in z: train +1.00, held-out +0.80; KL 6.0 nats; 384 prompts.",
    )
    read, (decision,), note = said["AWAITING_LABELS"]
    assert (read, note) == ([], "PROMOTE")
    assert re.fullmatch("decision [0-9a-f]{64}", decision)
    assert said["AWAITING_APPROVAL"] == ([], [], "A lead approved the promotion.")
    assert said["DECIDED"] == ([], [], "The candidate is let through.")
    read, (deployment,), note = said["DEPLOYING"]
    assert read == [f"{candidate.name} {candidate.sha256}"]
    assert deployment.startswith("deployment ")
    assert note == f"{candidate.name} is deployed."
    assert said["SAMPLING_PAIRS"] == (
        [f"policy {candidate.sha256}", f"prompts {sampled}"],
        ["3 comparisons"],
        "3 new pairs wait for labels, chosen 1 at random, 2 by disagreement.",
    )
    assert candidate.meta == {"round": round_.number, "optimizer": "ppo"}
    models = {"reference", "reward_model", "held_out_reward_model", "prompts"}
    for state, names in (
        (State.REWARD_TRAINING, {"policy", "preferences"}),
        (State.REWARD_EVALUATION, {"reward_model", "held_out_reward_model", "preferences"}),
        (State.POLICY_TRAINING, {"policy", *models}),
        (State.POLICY_EVALUATION, {"candidate", "incumbent", *models}),
        (State.SAMPLING_PAIRS, {"policy", "prompts", "reward_model"}),
    ):
        assert set(run_of(round_, state).spec["inputs"]) == names


def test_what_an_earlier_step_left_out_is_named(loop):
    for what in ("reward model", "held-out reward model"):
        with refuses(f"The round has no {what}; an earlier step should have made it."):
            context.version_input(None, what)
    with refuses("The round has no snapshot; its first step should have taken it."):
        learning.train_reward_model(at(loop, State.REWARD_TRAINING))
    with refuses("There is no candidate to deploy."):
        deploy(at(loop, State.DEPLOYING))
    with refuses("The policy evaluation left no samples to compare."):
        list(judging._sampled_pairs(at(loop, State.AWAITING_LABELS)))


def test_a_line_without_a_base_or_a_deployed_policy_is_told_what_it_lacks(loop):
    bare = bare_line()
    without = at(loop, State.SAMPLING_PAIRS, line=bare)
    with refuses(f"The line {bare.name} has no base policy; set one on its page."):
        context.start_version(without, "base")
    assert context.start_version(without, "incumbent") == loop.base.id
    assert context.start_version(at(loop), "base") == loop.base.id
    with refuses("The line has no deployed policy to write the next pairs."):
        sample_pairs(without)


def test_prompts_that_are_missing_are_asked_for_by_their_split(loop):
    here = at(loop)
    with refuses(
        "The line has no prompts in the split validation or test. Import prompts on the Data page:"
        " their split is drawn from the prompt itself."
    ):
        context.prompts_file(here, "none.jsonl", splits=("validation", "test"), limit=None)
    loop.prompts("test", 1)  # what was refused is looked for anew
    found = context.prompts_file(here, "none.jsonl", splits=("validation", "test"), limit=None)
    (row,) = (training.input_local(found)).read_text().splitlines()
    assert json.loads(row)["messages"][0]["content"].endswith("of test?")
    loop.prompts("validation", 3)
    few = context.prompts_file(here, "few.jsonl", splits=("validation", "test"), limit=2)
    assert len(training.input_local(few).read_text().splitlines()) == 2


def test_a_file_of_a_step_is_written_once_in_a_fixed_form(loop):
    here = at(loop)
    first = context.step_file(here, "rows.jsonl", [{"b": "é", "a": 1}, {"c": None}])
    again = context.step_file(here, "rows.jsonl", [{"other": True}])
    assert first == again
    text = training.input_local(first).read_bytes().decode()
    assert text == '{"a": 1, "b": "é"}\n{"c": null}\n'
    assert training.input_local(first).name == "rows.jsonl"
    assert training.input_local(first).parent.name == str(here.round.id)


def test_no_pairs_ordered_end_the_round_at_once(loop):
    found = sample_pairs(at(loop, State.SAMPLING_PAIRS, plan=replace(PLAN, next_pairs=0)))
    assert found == Move(State.CLOSED, note="No next pairs were ordered.")


def measured(low: float, split: str = "test") -> RewardModelMeasurements:
    accuracy = Interval(0.6, low, 0.7, 0.95, 1200)
    return RewardModelMeasurements({split: replace(SPLIT, pairs=1200, accuracy=accuracy)})


def test_a_reward_model_must_lie_above_the_minimum_and_says_by_how_much_it_does_not():
    assert learning._reward_problem(measured(0.501), 0.5) == ""
    for low, shown in ((0.5, "50.0%"), (0.498, "49.8%")):
        assert learning._reward_problem(measured(low), 0.5) == (
            f"The reward model agrees with 60.0% ({shown} to 70.0%) of the labels on 1,200 held-out"
            " pairs; the lower bound must lie above 50%. The round stops before the policy is trained:"
            " collect more labels, or look at their quality."
        )
    unchecked = RewardModelMeasurements({"train": SPLIT})
    assert learning._reward_problem(unchecked, 0.5) == (
        "The reward model could not be checked: no preference lies on a test or validation prompt."
        " Label more prompts."
    )
    assert learning._accuracy_note(unchecked) == ""
    assert learning._reward_problem(measured(0.6, "validation"), 0.5) == ""


def test_a_snapshot_says_how_many_labels_of_earlier_gates_it_has(loop):
    taken = training.snapshot_get(known(learning.take_snapshot(at(loop)).fields["snapshot"]))
    assert learning._snapshot_note(taken) == "3 preferences"
    more = replace(taken, rows=1500, counts={"released": 12})
    assert learning._snapshot_note(more) == "1500 preferences, 12 of them labels of earlier gates"


def test_more_samples_than_planned_are_said_with_the_reason(loop, behave, evidence):
    round_ = advance_through(
        round_start(line=loop.line, trigger="person"), upto=State.AWAITING_LABELS
    )
    run = run_of(round_, State.POLICY_EVALUATION)
    here = at(loop)
    assert judging._samples_note(here, run) == ""
    more = replace(PLAN, evaluate_policy=replace(PLAN.evaluate_policy, samples_per_prompt=2))
    assert judging._samples_note(replace(here, plan=more), run) == (
        " 1 samples a prompt in place of 2: with fewer a check could not be told."
    )


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        (GateShares(None, spent=0, skipped=0), ""),
        (
            GateShares(5, spent=1, skipped=0),
            " 1 annotator has compared a full share of 5; others are needed.",
        ),
        (
            GateShares(5, spent=3, skipped=2),
            " 3 annotators have compared a full share of 5; others are needed. Skipped so far: 2.",
        ),
    ],
)
def test_a_round_that_waits_says_who_is_needed(loop, monkeypatch, shares, said):
    monkeypatch.setattr("annotation.facade.gate_shares", lambda **_: shares)
    assert judging._waiting_note(at(loop, State.AWAITING_LABELS)) == (
        f"0 pairs of candidate and incumbent wait for labels.{said}"
    )


def test_released_labels_are_said_with_their_number():
    labels = LabelsReleased(rounds=1, labels=1234, roots=1300)
    assert asking._released_sentence(labels) == (
        " 1,234 gate labels may train from the next round on; their prompts are retired."
    )
    assert asking._released_sentence(replace(labels, labels=0)) == (
        " No gate label counts; questions that were answered and are retired now: 1,300."
    )
    assert asking._released_sentence(LabelsReleased(rounds=1, labels=0, roots=0)) == ""


def test_who_released_gate_labels_is_written_down_with_the_round(loop, monkeypatch):
    freed = LabelsReleased(rounds=1, labels=3, roots=4)
    monkeypatch.setattr("annotation.facade.gate_labels_release", lambda **_: freed)
    loop.line.release_gate_labels = "always"
    loop.line.save()
    here = at(loop, State.DECIDED, verdict="REJECT")
    assert asking.gate_labels_release(here).startswith(" 3 gate labels")
    event = AuditEvent.objects.get(verb="released gate labels")
    assert (event.actor, event.line) == ("round", loop.line.id)
    assert event.target == f"{loop.line.slug}/{here.round.number}"
    assert event.detail == {"labels": 3, "prompts": 4}


def test_a_held_back_promotion_and_a_kept_incumbent_are_said(loop, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    approve(round_, yes=False)
    round_ = advance_through(round_)
    assert step_of(round_, State.AWAITING_APPROVAL).note == "A lead held back the promotion."
    assert step_of(round_, State.DECIDED).note == "The incumbent stays deployed."


def test_two_rounds_never_draw_by_the_same_seed(loop):
    plan = RoundPlan(seed=3)
    seeds = {at(loop, plan=plan, number=number).seed for number in (1, 2, 999)}
    assert seeds == {3001, 3002, 3999}


# -------------------------------------------------------------------- what a step orders and keeps


def test_a_run_is_ordered_for_the_round_with_its_seed_its_limit_and_its_place(loop, monkeypatch):
    ordered, executed = {}, {}
    create = training.run_create

    def made(**told):
        ordered.update(told)
        return create(**told)

    monkeypatch.setattr("training.facade.run_create", made)
    monkeypatch.setattr("training.facade.run_execute", lambda **told: executed.update(told))
    here = at(loop, State.REWARD_TRAINING)
    order: dict[str, Any] = {"kind": "reward_model", "config": PLAN.reward_model, "inputs": {}}
    context.step_run(here, **order, minutes=1.5)
    assert (ordered["line_id"], ordered["round_id"]) == (loop.line.id, here.round.id)
    assert (ordered["kind"], ordered["seed"]) == ("reward_model", here.seed)
    assert RoundStep.objects.get(pk=here.step.pk).run == executed["run_id"] == here.step.run
    assert (executed["owner"], executed["time_limit_seconds"]) == ("worker", 90.0)
    assert executed["jobs"] == PLAN.jobs
    first = executed["run_id"]
    context.step_run(here, **order, minutes=1.5)
    assert executed["run_id"] == first  # a second attempt goes on with the same run
    context.step_run(here, **order, minutes=1.5, anew=True)
    assert executed["run_id"] != first


def test_a_step_that_another_worker_took_over_orders_nothing(loop):
    here = at(loop, State.REWARD_TRAINING)
    RoundStep.objects.filter(pk=here.step.pk).update(fence=here.step.fence + 1)
    with pytest.raises(ClaimLost, match=r"was taken over by another worker\.$"):
        context.step_run(
            here, kind="reward_model", config=PLAN.reward_model, inputs={}, minutes=1.0
        )
    assert training.runs_of_round(here.round.id) == []


@pytest.mark.parametrize(
    ("verdict", "same", "approved", "by_itself", "goes"),
    [
        ("PROMOTE", False, True, False, State.DEPLOYING),
        ("PROMOTE", False, False, False, State.SAMPLING_PAIRS),
        ("PROMOTE", False, None, False, State.SAMPLING_PAIRS),
        ("PROMOTE", False, None, True, State.DEPLOYING),
        ("PROMOTE", True, None, True, State.SAMPLING_PAIRS),
        ("REJECT", False, True, True, State.SAMPLING_PAIRS),
    ],
)
def test_only_what_was_promoted_and_let_through_is_deployed(
    loop, monkeypatch, verdict, same, approved, by_itself, goes
):
    answer = None if approved is None else SimpleNamespace(approved=approved)
    monkeypatch.setattr("evaluation.facade.approval_get", lambda round_id: answer)
    candidate = loop.base.id if same else policy_import(loop.line.id, loop.folder, "new").id
    here = at(
        loop, State.DECIDED, verdict=verdict, candidate=candidate, deploys_by_itself=by_itself
    )
    assert judging.decide(here).to == goes


def test_a_gate_offers_pairs_in_their_order_up_to_the_last_label_it_may_ask_for(loop, monkeypatch):
    def pair(text: str) -> NewPair:
        return NewPair(uuid4(), (NewCompletion("same"), NewCompletion(text)))

    drawn = [pair(text) for text in ("same", "a", "b", "same", "c", "same", "d")]
    monkeypatch.setattr(judging, "_sampled_pairs", lambda _: iter(drawn))
    for labels, offered in ((1, 2), (3, 5), (4, 7), (9, 7)):
        budget = SimpleNamespace(labels=labels)
        monkeypatch.setattr(judging, "gate_budget", lambda _, budget=budget: budget)
        assert list(judging._gate_pairs(at(loop))) == drawn[:offered]


def test_a_judge_s_progress_is_shown_and_prolongs_the_step(loop):
    here = at(loop, State.POLICY_EVALUATION)
    RoundStep.objects.filter(pk=here.step.pk).update(lease_expires_at=None)
    judging._judge_beat(here)(3, 8)
    step = RoundStep.objects.get(pk=here.step.pk)
    assert (step.phase, step.progress, step.total) == ("asking the LLM judge", 3, 8)
    assert step.note == "The LLM judge has answered 3 of 8 questions."
    assert step.lease_expires_at is not None
