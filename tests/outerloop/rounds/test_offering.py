"""Which pairs a round puts before people: how many, to how many of them, on which prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annotation import facade as annotation
from annotation.comparisons.models import Comparison, GateQueue
from annotation.comparisons.services import assignment_skip
from evaluation.contracts import CheckSettings, GatePolicySettings
from outerloop.rounds.models import Round, State
from outerloop.rounds.services import round_advance, round_cancel, round_start
from tests.annotation.factories import an_annotator, label_next, lease
from tests.evaluation.policy.evidence import POLICY
from tests.outerloop.rounds.test_steps import TOO_LONG
from tests.outerloop.rounds.world import advance_through, run_of, step_of
from tests.support.gate_policies import policy_put
from training.runs.inventory import input_path


@pytest.fixture
def asking(loop, behave, evidence):
    """A line whose gate always wants labels: 20 at most, of 4 people; all pairs are the gate's."""
    evidence.changes = {"labels": None}
    policy_save(loop)
    loop.campaign.gate_share = 1.0
    loop.campaign.save()
    return loop


def policy_save(loop, **settings) -> None:
    checks = {"G1": CheckSettings(thresholds={"annotators": 4.0})}
    asked = GatePolicySettings(**{"max_labels": 20, "checks": checks, **settings})
    policy_put(loop.line.id, asked)


def offered(loop) -> Round:
    return advance_through(round_start(line=loop.line, trigger="person", forced=True))


def sampled(round_: Round) -> list[str]:
    path = input_path(run_of(round_, State.POLICY_EVALUATION).spec["inputs"]["prompts"]["path"])
    return [json.loads(row)["id"] for row in Path(path).read_text().splitlines()]


def asked_about(round_: Round) -> set[str]:
    rows = Comparison.objects.filter(round_id=round_.id, purpose="gate", wanted=1)
    return {str(prompt) for prompt in rows.values_list("prompt_id", flat=True)}


def test_the_gate_policy_says_how_many_pairs_are_offered_and_how_many_one_person_gets(asking):
    asking.prompts("evaluation", 116)
    round_ = offered(asking)
    assert tuple(annotation.gate_queue_status(round_id=round_.id)) == (20, 0, 0)
    assert GateQueue.objects.get(round_id=round_.id).most_per_rater == 5
    assert asked_about(round_) == set(sampled(round_)[:20])  # in the order drawn


def test_a_line_with_few_prompts_still_asks_as_many_people(asking):
    asking.prompts("evaluation", 5)
    round_ = offered(asking)
    assert tuple(annotation.gate_queue_status(round_id=round_.id)) == (9, 0, 0)
    assert GateQueue.objects.get(round_id=round_.id).most_per_rater == 3


def test_the_policy_of_the_start_counts(asking):
    asking.prompts("evaluation", 116)
    round_ = round_start(line=asking.line, trigger="person", forced=True)
    policy_save(asking, max_labels=50)
    assert annotation.gate_queue_status(round_id=advance_through(round_).id).open == 20


def test_pairs_of_two_equal_texts_use_up_no_label(asking, behave):
    asking.prompts("evaluation", 116)
    behave(same=[0, 1, 2, 5, 30])
    round_ = offered(asking)
    assert asked_about(round_) == {
        prompt for n, prompt in enumerate(sampled(round_)[:24]) if n not in (0, 1, 2, 5)
    }
    ties = Comparison.objects.filter(round_id=round_.id, purpose="gate", wanted=0)
    assert ties.count() == 4  # the one after the last that is asked about is as fresh as before


def decided(loop, evidence, *, identical: int) -> Round:
    """A round that a guardrail refuses, on whose prompts so many pairs were of two equal texts."""
    evidence.changes = {"identical_pairs": identical, **TOO_LONG}
    round_ = offered(loop)
    assert round_.verdict == "REJECT"
    return round_


def test_as_many_prompts_are_sampled_as_the_labels_need_by_what_the_last_round_found(
    asking, evidence
):
    asking.prompts("evaluation", 116)
    shares = (0.0, 0.25, 0.9)
    rounds = [decided(asking, evidence, identical=round(share * 384)) for share in shares]
    counts = [len(sampled(each)) for each in (*rounds, offered(asking))]
    assert POLICY.prompts == 384
    # 1.1 * 20 labels over 1 - share: half at first, then nothing, a quarter, three quarters at most
    assert counts == [44, 22, 30, 88]


def test_a_round_against_itself_says_nothing_about_equal_texts(asking, evidence):
    asking.prompts("evaluation", 116)
    decided(asking, evidence, identical=0)
    changes = {"candidate": "incumbent"}
    evidence.changes = {"identical_pairs": 384}
    advance_through(round_start(line=asking.line, trigger="person", forced=True, changes=changes))
    assert len(sampled(offered(asking))) == 22


def test_a_plan_may_have_more_prompts_sampled_than_the_labels_need(asking):
    asking.prompts("evaluation", 116)
    round_ = round_start(
        line=asking.line, trigger="person", forced=True, changes={"evaluation_prompts": 100}
    )
    assert len(sampled(advance_through(round_))) == 100


def test_the_next_round_draws_what_a_cancelled_one_has_not_shown(asking):
    asking.prompts("evaluation", 46)
    first = offered(asking)
    for _ in range(6):
        label_next(an_annotator(asking.campaign), asking.campaign)
    shown = Comparison.objects.filter(round_id=first.id, purpose="gate", judged=1)
    worn = {str(prompt) for prompt in shown.values_list("prompt_id", flat=True)}
    round_cancel(round_=first, actor="eve")
    assert advance_through(first).state == State.CANCELLED
    assert len(worn) == 6
    second = offered(asking)
    assert len(sampled(second)) == 44  # of 50
    assert not set(sampled(second)) & worn


def test_the_step_says_when_people_have_had_their_share_and_what_was_skipped(asking):
    round_ = offered(asking)  # 4 pairs, one for each of 4 people
    label_next(an_annotator(asking.campaign), asking.campaign)
    other = an_annotator(asking.campaign)
    held = lease(other, asking.campaign)
    assignment_skip(rater=other, assignment_id=held.assignment_id, reason="cannot_judge")
    round_advance(round_id=round_.id)
    assert step_of(round_).note == (
        "3 pairs of candidate and incumbent wait for labels. 2 annotators have compared a full share of"
        " 1; others are needed. Skipped so far: 1."
    )
