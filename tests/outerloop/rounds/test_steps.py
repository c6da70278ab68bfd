"""A round from start to end: the real steps and real child processes, with programs that learn nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import facade as annotation
from annotation.comparisons.models import Comparison
from evaluation import facade as evaluation
from evaluation.contracts import EvaluatePolicyConfig, IntegrityFact, Interval
from evaluation.gates.models import GateTest
from evaluation.gates.second_budgets import evidence_so_far
from evaluation.gates.services import decisions
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.models import Round, RoundStep, State
from outerloop.rounds.services import (
    first_pairs_order,
    line_plan_save,
    round_advance,
    round_start,
)
from outerloop.rounds.steps import judging
from tests.annotation.factories import a_campaign, label_next
from tests.evaluation.policy.evidence import LABELS, POLICY
from tests.outerloop.rounds.world import (
    PLAN,
    Evidence,
    LoopWorld,
    advance_through,
    known,
    run_of,
    step_of,
)
from tests.support.people import person_create
from training import facade as training
from training.runs.inventory import input_path
from training.runs.models import Retention

TOO_LONG = {"policy": replace(POLICY, length_ratio=Interval(1.6, 1.5, 1.7, 0.95, 400))}


@pytest.fixture
def started(loop, behave, evidence):
    return round_start(line=loop.line, trigger="person")


def names(round_):
    return list(round_.steps.order_by("position").values_list("name", flat=True))


def prompts_of(run):
    return input_path(run.spec["inputs"]["prompts"]["path"]).read_text().splitlines()


def run_kinds(round_):
    return [run.kind for run in training.runs_of_round(round_.id)]


def approve(round_, *, yes=True):
    lead = person_create("lea", "lead")
    reason = "" if yes else "Too wordy for our taste."
    evaluation.approval_record(round_id=round_.id, actor=lead, approve=yes, reason=reason)


def test_an_approved_candidate_is_deployed_and_writes_the_next_pairs(loop, started):
    round_ = advance_through(started)
    assert (round_.state, round_.verdict) == (State.AWAITING_APPROVAL, "PROMOTE")
    assert loop.deployed() == loop.base.id
    assert run_kinds(round_) == ["reward_model", "evaluate_reward_model", "ppo", "evaluate_policy"]
    assert step_of(round_).note == "A lead reads the report and approves, or holds back."

    approve(round_)
    round_ = advance_through(round_)
    assert round_.state == State.CLOSED
    assert loop.deployed() == round_.candidate
    assert run_kinds(round_)[-1] == "sample_pairs"
    assert names(round_) == [
        "SNAPSHOT", "REWARD_TRAINING", "REWARD_EVALUATION", "POLICY_TRAINING", "POLICY_EVALUATION",
        "AWAITING_LABELS", "AWAITING_APPROVAL", "DECIDED", "DEPLOYING", "SAMPLING_PAIRS",
    ]  # fmt: skip
    assert not round_.steps.filter(finished_at__isnull=True).exists()
    pairs = Comparison.objects.filter(round_id=round_.id, purpose="training")
    assert sorted(pair.strategy for pair in pairs) == ["disagreement", "disagreement", "random"]
    assert step_of(round_, "SAMPLING_PAIRS").note == (
        "3 new pairs wait for labels, chosen 1 at random, 2 by disagreement."
    )
    written_by = {slot.completion.model_version for pair in pairs for slot in pair.slots.all()}
    assert written_by == {round_.candidate}


def test_every_step_says_what_it_read_and_wrote(loop, started):
    round_ = advance_through(started)
    snapshot = training.snapshot_get(known(round_.snapshot))
    candidate = training.model_version_get(known(round_.candidate))
    reward = training.model_version_get(known(round_.reward_model))
    ppo = step_of(round_, State.POLICY_TRAINING)
    assert step_of(round_, State.SNAPSHOT).wrote == [f"snapshot {snapshot.sha256}"]
    assert f"reward model {reward.sha256}" in ppo.read
    assert f"reference {loop.base.sha256}" in ppo.read
    assert ppo.wrote == [f"{candidate.name} {candidate.sha256}"]
    assert (ppo.phase, ppo.progress, ppo.total) == ("update", 3, 3)
    assert ppo.note == "policy v2: 3 updates, all that were planned"
    assert candidate.parent_id == loop.base.id
    spec = training.run_get(known(ppo.run)).spec
    assert spec["seed"] == 7001  # the plan's seed and the round's number
    prompts = prompts_of(run_of(round_, State.POLICY_TRAINING))
    assert len(prompts) == 3  # the training prompts alone
    judged = run_of(round_, State.POLICY_EVALUATION)
    shown = [json.loads(row) for row in prompts_of(judged)]
    assert len(shown) == 4
    assert not {row["group"] for row in shown} & {json.loads(row)["group"] for row in prompts}


def test_what_was_held_back_is_not_deployed(loop, started):
    round_ = advance_through(started)
    approve(round_, yes=False)
    round_ = advance_through(round_)
    assert round_.state == State.CLOSED
    assert "A lead held back" in step_of(round_, State.AWAITING_APPROVAL).note
    assert loop.deployed() == loop.base.id
    assert State.DEPLOYING not in names(round_)


def test_a_promotion_that_nobody_answers_is_held_back_after_the_maximum_age(loop, started):
    round_ = advance_through(started)
    Round.objects.filter(pk=round_.pk).update(waiting_since=timezone.now() - timedelta(days=8))
    round_ = advance_through(round_)
    assert round_.state == State.CLOSED
    assert "maximum age" in step_of(round_, State.AWAITING_APPROVAL).note
    assert loop.deployed() == loop.base.id


def test_a_line_that_deploys_by_itself_asks_nobody(tmp_path, db, behave, evidence):
    loop = LoopWorld(tmp_path, fields={"deploys_by_itself": True})
    round_ = advance_through(round_start(line=loop.line, trigger="schedule"))
    assert round_.state == State.CLOSED
    assert State.AWAITING_APPROVAL not in names(round_)
    assert loop.deployed() == round_.candidate


def test_the_switch_of_the_start_holds_for_the_round(loop, started):
    loop.line.deploys_by_itself = True
    loop.line.save()
    assert advance_through(started).state == State.AWAITING_APPROVAL


def test_without_labels_the_gate_s_pairs_are_offered_once_and_the_round_waits(
    loop, started, evidence
):
    evidence.changes = {"labels": None}
    round_ = advance_through(started)
    assert round_.state == State.AWAITING_LABELS
    assert round_.verdict == ""
    assert step_of(round_).note == "4 pairs of candidate and incumbent wait for labels."
    assert tuple(annotation.gate_queue_status(round_id=round_.id)) == (4, 0, 0)
    assert evaluation.decided_on(round_.id) is None
    looks = evidence.looks
    for _ in range(2):
        round_advance(round_id=round_.id)
    assert evidence.looks == looks + 2  # to measure is dear: once at each look
    assert Comparison.objects.filter(round_id=round_.id, purpose="gate").count() == 4
    pair = Comparison.objects.filter(round_id=round_.id, purpose="gate")[0]
    sides = {slot.completion.model_version for slot in pair.slots.all()}
    assert sides == {round_.candidate, round_.incumbent}
    assert (pair.strategy, pair.probability) == ("gate", 1.0)  # as exports say how it was chosen

    evidence.changes = {}  # the labels came
    round_ = advance_through(round_)
    assert (round_.state, round_.verdict) == (State.AWAITING_APPROVAL, "PROMOTE")
    assert annotation.gate_queue_status(round_id=round_.id).open == 0


def test_a_candidate_that_a_guardrail_refuses_costs_nobody_a_label(loop, started, evidence):
    evidence.changes = {"labels": None, **TOO_LONG}
    round_ = advance_through(started)
    assert (round_.state, round_.verdict) == (State.CLOSED, "REJECT")
    assert not Comparison.objects.filter(round_id=round_.id, purpose="gate").exists()


def test_a_refused_candidate_leaves_the_incumbent_which_writes_the_next_pairs(
    loop, started, evidence
):
    evidence.changes = TOO_LONG
    round_ = advance_through(started)
    assert (round_.state, round_.verdict) == (State.CLOSED, "REJECT")
    assert "length" in round_.summary.lower()
    assert loop.deployed() == loop.base.id
    pairs = Comparison.objects.filter(round_id=round_.id, purpose="training")
    assert {s.completion.model_version for p in pairs for s in p.slots.all()} == {loop.base.id}
    candidate = training.model_version_get(known(round_.candidate))
    assert known(evaluation.decided_on(round_.id)).candidate_sha256 == candidate.sha256


def test_labels_that_ran_out_without_a_difference_are_a_refusal(loop, started, evidence):
    even = replace(
        LABELS, wins=170, losses=170, max_e_value=1.5, e_value=1.0, labels_left=0, expired=True
    )
    evidence.changes = {"labels": replace(even, win_rate=Interval(0.5, 0.45, 0.55, 0.95, 400))}
    assert advance_through(started).verdict == "REJECT"


@pytest.fixture
def unresolved(loop, started, evidence):
    """A round that was closed with one label of its gate, which showed nothing either way."""
    evidence.changes = {"labels": None}
    round_ = advance_through(started)
    answered = label_next(loop.rater, loop.campaign)
    while not annotation.gate_labels(round_id=round_.id):
        answered = label_next(loop.rater, loop.campaign)
    assert answered
    even = replace(LABELS, wins=0, losses=1, labels=1, max_e_value=1.0, e_value=1.0, labels_left=0)
    evidence.changes = {"labels": even}
    round_ = advance_through(round_)
    assert (round_.state, round_.verdict) == (State.CLOSED, "REJECT")
    return round_


def test_a_candidate_is_judged_again_and_its_test_goes_on(loop, unresolved, evidence):
    changes = {"candidate": "again"}
    again = round_start(line=loop.line, trigger="person", forced=True, changes=changes)
    evidence.changes = {"labels": None}
    again = advance_through(again)
    assert (again.state, again.candidate) == (State.AWAITING_LABELS, unresolved.candidate)
    assert run_kinds(again) == ["reward_model", "evaluate_reward_model", "evaluate_policy"]
    first, second = GateTest.objects.order_by("number")
    assert (second.continues, second.test_number, second.level) == (first.round, 1, first.level)
    assert len(evidence_so_far(second).earlier) == 1
    assert {first.labelled, second.labelled} == {1, None}
    evidence.changes = {}
    assert advance_through(again).verdict == "PROMOTE"


def test_nobody_is_judged_again_where_labels_have_shown_nothing_yet(loop, behave, evidence):
    with pytest.raises(RoundRefused, match="no candidate may be judged again"):
        round_start(line=loop.line, trigger="person", changes={"candidate": "again"})
    assert not loop.line.rounds.exists()


def test_a_bad_reward_model_ends_the_round_before_the_policy_is_trained(loop, started, behave):
    behave(accuracy=[0.56, 0.49, 0.63])
    round_ = advance_through(started)
    assert (round_.state, round_.verdict) == (State.CLOSED, "REJECT")
    assert "56.0% (49.0% to 63.0%) of the labels on 200 held-out pairs" in round_.summary
    assert "ppo" not in run_kinds(round_)
    assert round_.candidate is None
    assert loop.deployed() == loop.base.id
    assert Comparison.objects.filter(round_id=round_.id, purpose="training").count() == 3


def test_a_round_that_judges_the_incumbent_against_itself_trains_and_deploys_nothing(
    loop, behave, evidence
):
    evidence.changes = {"policy": replace(POLICY, aa_difference=0.0)}
    round_ = round_start(line=loop.line, trigger="person", changes={"candidate": "incumbent"})
    round_ = advance_through(round_)
    assert (round_.state, round_.verdict) == (State.CLOSED, "REJECT")  # however well it looks
    assert "there is nothing to promote" in round_.summary
    assert run_kinds(round_) == [
        "reward_model", "evaluate_reward_model", "evaluate_policy", "sample_pairs",
    ]  # fmt: skip
    assert round_.candidate == loop.base.id
    assert State.AWAITING_APPROVAL not in names(round_)
    assert State.DEPLOYING not in names(round_)
    assert [d.kind for d in evaluation.deployments(loop.line.id)] == ["initial"]


class SamplesWanted(Evidence):
    """The KL cannot be told from the budget until so many samples a prompt have been drawn."""

    enough = 2

    def __call__(self, judged, settings):
        config = EvaluatePolicyConfig.from_json(known(judged.policy_run).spec["config"])
        drawn = config.samples_per_prompt
        kl = Interval(9.0, 8.0, 9.5 if drawn >= self.enough else 11.0, 0.95, 400)
        more = drawn < config.samples_limit
        self.changes["policy"] = replace(POLICY, kl={"reference": kl}, more_samples_possible=more)
        return super().__call__(judged, settings)


@pytest.fixture
def samples_wanted(monkeypatch):
    made = SamplesWanted()
    monkeypatch.setattr(decisions, "round_measure", made)
    return made


def evaluations(round_):
    runs = [r for r in training.runs_of_round(round_.id) if r.kind == "evaluate_policy"]
    return [run.spec["config"]["samples_per_prompt"] for run in runs]


def test_a_check_that_wants_samples_gets_twice_as_many_and_is_asked_anew(
    loop, behave, samples_wanted
):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    assert (round_.state, round_.verdict) == (State.AWAITING_APPROVAL, "PROMOTE")
    assert evaluations(round_) == [1, 2]
    step = step_of(round_, State.POLICY_EVALUATION)
    assert "2 samples a prompt in place of 1" in step.note
    assert step.run == training.runs_of_round(round_.id)[-1].id
    first, second = (
        run for run in training.runs_of_round(round_.id) if run.kind == "evaluate_policy"
    )
    assert first.spec["inputs"] == second.spec["inputs"]
    assert first.spec["seed"] == second.spec["seed"]  # the pairs that people see stay the same


def test_at_the_limit_of_samples_the_check_wants_nothing_and_nobody_is_asked(
    loop, behave, samples_wanted
):
    samples_wanted.enough = 99
    samples_wanted.changes["labels"] = None
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    assert evaluations(round_) == [1, 2, 4]
    assert (round_.state, round_.verdict) == (State.CLOSED, "REJECT")
    assert "Nothing more can be had to resolve it." in round_.summary
    assert not Comparison.objects.filter(round_id=round_.id, purpose="gate").exists()


def test_a_candidate_that_fails_draws_no_more_samples(loop, behave, samples_wanted):
    samples_wanted.changes["integrity"] = (IntegrityFact("artifact_hashes", False, "x differs"),)
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    assert (evaluations(round_), round_.verdict) == ([1], "REJECT")


def test_a_worker_killed_between_two_evaluations_goes_on_with_what_was_drawn(
    loop, behave, samples_wanted, monkeypatch
):
    class Killed(BaseException):
        pass

    def dies(*_):
        raise Killed

    real = judging._more_samples
    monkeypatch.setattr(judging, "_more_samples", dies)
    started = round_start(line=loop.line, trigger="person")
    with pytest.raises(Killed):
        advance_through(started)
    assert evaluations(started) == [1]
    monkeypatch.setattr(judging, "_more_samples", real)
    RoundStep.objects.update(lease_expires_at=None)
    round_ = advance_through(started)
    assert (evaluations(round_), round_.verdict) == ([1, 2], "PROMOTE")


def test_what_a_decision_refers_to_is_retained(loop, started):
    round_ = advance_through(started)
    approve(round_)
    round_ = advance_through(round_)
    kept = set(Retention.objects.values_list("version_id", flat=True))
    assert kept >= {
        round_.candidate, round_.incumbent, round_.reward_model, round_.held_out_reward_model,
    }  # fmt: skip


def test_round_0_writes_the_first_pairs_and_closes(loop, behave):
    before = Comparison.objects.count()
    round_ = advance_through(first_pairs_order(line=loop.line, trigger="demo"))
    assert (round_.state, round_.verdict) == (State.CLOSED, "")
    assert Comparison.objects.count() == before + 3
    said = "3 new pairs wait for labels, chosen 3 at random."  # there is no reward model to ask
    assert step_of(round_, "SAMPLING_PAIRS").note == said


def test_the_next_pairs_are_chosen_by_the_strategy_of_the_plan(loop, behave, evidence):
    plan = replace(PLAN, selection="double_thompson", random_share=0.0)
    line_plan_save(line=loop.line, plan=plan, actor="test")
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    approve(round_)
    round_ = advance_through(round_)
    pairs = Comparison.objects.filter(round_id=round_.id, purpose="training")
    assert {(pair.strategy, pair.probability) for pair in pairs} == {("double_thompson", 1.0)}


def test_where_a_campaign_ranks_as_many_as_are_sampled_they_go_there_whole(loop, behave):
    plan = replace(PLAN, sampling=replace(PLAN.sampling, completions_per_prompt=3))
    line_plan_save(line=loop.line, plan=plan, actor="test")
    ranking = a_campaign(line_id=loop.line.id, answers=3)
    round_ = advance_through(first_pairs_order(line=loop.line, trigger="demo"))
    assert round_.state == State.CLOSED
    made = Comparison.objects.filter(campaign=ranking)
    assert [comparison.slots.count() for comparison in made] == [3, 3, 3]
    assert {comparison.strategy for comparison in made} == {"random"}
    assert step_of(round_, "SAMPLING_PAIRS").note == "3 new prompts wait to be ranked."
