"""A line's tests in the database: what counts as one, when its level is fixed, what it costs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from annotation import facade as annotation
from annotation.contracts import GateLabel
from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates.models import GateTest
from evaluation.gates.records import ErrorControl
from evaluation.gates.second_budgets import candidate_unresolved, evidence_so_far, outcomes_so_far
from evaluation.gates.selectors import error_control
from evaluation.gates.services.registration import ended_tests_settle, gate_test_open
from evaluation.policy import error_cost, error_level
from evaluation.statistics.betting import Aim, Budget, hedged_e_process
from evaluation.statistics.planning import labels_for_power
from tests.evaluation.gates.world import LineWorld, labels_from, run_left, sampled

# Every label counts by itself, so that a few are a test.
SETTINGS = GatePolicySettings(
    hypothesis="panel",
    outcomes="side",
    checks={"G1": CheckSettings(thresholds={"annotators": 1.0})},
)
FIRST = error_level(0.0, 0, 0.05)

Round = Callable[..., GateTest]


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> dict[UUID, list[GateLabel]]:
    given: dict[UUID, list[GateLabel]] = {}
    monkeypatch.setattr(annotation, "gate_labels", lambda *, round_id: given.get(round_id, []))
    return given


@pytest.fixture
def round_of(world: LineWorld, artifacts: Path, labels: dict[UUID, list[GateLabel]]) -> Round:
    """Register a round's test and give it labels; nothing else ever becomes of the round."""
    texts = [("one", "two")] * 400 + [("same", "same")] * 300
    run = run_left(artifacts, samples=sampled(texts))

    def begun(number: int, outcomes: list[float], **changes: Any) -> GateTest:
        judged = world.judged(number=number, round_id=uuid.uuid4(), policy_run=run, **changes)
        test = gate_test_open(judged, SETTINGS)
        assert judged.candidate is not None
        labels[judged.round_id] = labels_from(
            outcomes, candidate=judged.candidate, incumbent=judged.incumbent
        )
        return test

    return begun


def test_a_test_is_registered_with_its_level_before_the_first_label(
    world: LineWorld, round_of: Round
) -> None:
    test = round_of(1, [])
    assert (test.test_number, test.discoveries, test.error_spent) == (1, 0, 0.0)
    assert test.level == pytest.approx(FIRST)
    assert (
        test.labels == 400
    )  # the smallest effect would take 940, the round has 400 pairs that differ
    assert test.cost is None
    judged = world.judged(round_id=test.round)
    later = gate_test_open(judged, replace(SETTINGS, alpha=0.2))
    assert later.level == test.level  # whatever was saved in between


def test_the_bets_are_aimed_at_what_the_smallest_effect_takes(world: LineWorld) -> None:
    settings = replace(SETTINGS, smallest_effect=0.65, max_labels=5000)
    test = gate_test_open(world.judged(), settings)
    assert test.labels == labels_for_power(0.65, level=FIRST)


def test_a_round_that_was_given_up_with_labels_is_a_test_and_costs(
    world: LineWorld, round_of: Round
) -> None:
    abandoned = round_of(1, [0.0] * 12)
    after = round_of(2, [], candidate=uuid.uuid4())
    abandoned.refresh_from_db()
    assert abandoned.cost is not None
    e_value = float(hedged_e_process([0.0] * 12, aim=evidence_so_far(abandoned).aim)[-1])
    assert (abandoned.labelled, abandoned.discovered) == (12, False)
    assert abandoned.e_value == pytest.approx(e_value)
    assert abandoned.cost == pytest.approx(FIRST * (1 - e_value))
    assert (after.test_number, after.error_spent) == (2, abandoned.cost)
    assert after.level == pytest.approx(error_level(abandoned.cost, 0, 0.05))
    assert after.level < FIRST


def test_thirty_tries_that_are_cancelled_spend_no_more_than_the_line_has(round_of: Round) -> None:
    for number in range(1, 31):
        last = round_of(number, [0.0] * 30, candidate=uuid.uuid4())
    assert last.test_number == 30
    assert last.error_spent <= 0.05
    assert last.level < FIRST / 20


def test_a_round_without_a_label_is_no_test(world: LineWorld, round_of: Round) -> None:
    round_of(1, [])
    after = round_of(2, [])
    assert (after.test_number, after.error_spent) == (1, 0.0)
    assert after.level == pytest.approx(FIRST)
    assert error_control(world.line, before=2) == ErrorControl(0, 0, 0.0)


def test_a_discovery_counts_whatever_became_of_the_round(world: LineWorld, round_of: Round) -> None:
    found = round_of(1, [1.0] * 40 + [0.0] * 40)  # once shown, it stays shown
    after = round_of(2, [])
    found.refresh_from_db()
    assert found.discovered
    assert found.cost == found.level
    assert (after.test_number, after.discoveries) == (2, 1)
    assert error_control(world.line, before=1) == ErrorControl(0, 0, 0.0)  # its own place stays


def test_promising_evidence_is_not_paid_for(round_of: Round) -> None:
    open_ended = round_of(1, [1.0, 1.0, 0.0, 1.0])
    round_of(2, [])
    open_ended.refresh_from_db()
    assert open_ended.e_value is not None
    assert open_ended.e_value > 1
    assert (open_ended.discovered, open_ended.cost) == (False, 0.0)


def test_lines_do_not_pay_for_one_another(world: LineWorld, round_of: Round) -> None:
    round_of(1, [0.0] * 20)
    other = round_of(2, [], line_id=uuid.uuid4())
    assert (other.test_number, other.error_spent) == (1, 0.0)


def test_what_a_test_came_to_is_filled_in_once(round_of: Round) -> None:
    test = round_of(1, [0.0] * 5)
    for change in ({"level": 0.04}, {"candidate": uuid.uuid4()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            GateTest.objects.filter(pk=test.pk).update(**change)
    ended_tests_settle(test.line, before=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        GateTest.objects.filter(pk=test.pk).update(cost=0.0)
    with pytest.raises(IntegrityError), transaction.atomic():
        GateTest.objects.filter(pk=test.pk).delete()


def test_the_cost_is_that_of_the_evidence_it_ended_with(round_of: Round) -> None:
    test = round_of(1, [1.0, 0.0, 0.0, 1.0, 0.0])
    ended_tests_settle(test.line, before=2)
    test.refresh_from_db()
    assert test.e_value is not None
    assert test.cost == error_cost(test.level, test.e_value, discovered=False)


def test_a_decided_round_is_settled_at_once(
    world: LineWorld, labels: dict[UUID, list[GateLabel]]
) -> None:
    judged = world.judged(number=1)
    gate_test_open(judged, SETTINGS)
    labels[judged.round_id] = labels_from(
        [0.0] * 9, candidate=world.candidate.id, incumbent=world.incumbent.id
    )
    assert error_control(world.line, before=2).tests == 0
    world.decide(number=1)
    control = error_control(world.line, before=2)
    assert (control.tests, control.discoveries) == (1, 0)
    assert 0 < control.spent <= FIRST


# -------------------------------------------------------------------- a second budget

UNSURE = [1.0, 0.0, 1.0, 1.0, 0.0] * 8


def test_a_candidate_that_is_judged_again_goes_on_at_its_evidence(
    world: LineWorld, round_of: Round, labels: dict[UUID, list[GateLabel]]
) -> None:
    """The same test, of one number and level; its labels and its evidence are those of both rounds."""
    first = round_of(1, UNSURE)
    again = round_of(2, [1.0, 0.0, 1.0] * 10)
    first.refresh_from_db()
    assert again.continues == first.round
    place = ("test_number", "discoveries", "error_spent", "level")
    assert [getattr(again, name) for name in place] == [getattr(first, name) for name in place]
    so_far = evidence_so_far(again)
    assert (len(so_far.earlier), len(outcomes_so_far(again, so_far))) == (40, 70)
    assert so_far.aim == Aim(FIRST, again.labels, (Budget(first.labels, 40),))
    values = [outcome.value for outcome in outcomes_so_far(again, so_far)]
    evidence = hedged_e_process(values, aim=so_far.aim)
    assert evidence[39] == pytest.approx(first.e_value)
    ended_tests_settle(world.line, before=3)
    again.refresh_from_db()
    assert again.labelled == 70
    assert again.e_value == pytest.approx(evidence[-1])


def test_a_test_that_went_on_counts_once(world: LineWorld, round_of: Round) -> None:
    first = round_of(1, UNSURE)
    again = round_of(2, [0.0] * 20)
    later = round_of(3, [], candidate=uuid.uuid4())
    for row in (first, again):
        row.refresh_from_db()
    assert first.cost is not None
    assert again.cost is not None
    assert later.continues is None
    assert (later.test_number, later.error_spent) == (2, again.cost)
    assert again.cost <= again.level
    assert error_control(world.line, before=2).spent == first.cost  # as it stood before it went on


def test_what_was_shown_in_the_second_budget_is_one_discovery_at_one_stake(
    world: LineWorld, round_of: Round
) -> None:
    round_of(1, UNSURE)
    again = round_of(2, [1.0] * 60)
    later = round_of(3, [], candidate=uuid.uuid4())
    again.refresh_from_db()
    assert (again.discovered, again.cost) == (True, again.level)
    assert (later.test_number, later.discoveries, later.error_spent) == (2, 1, again.level)


def test_cancelling_and_trying_again_is_no_free_test(world: LineWorld, round_of: Round) -> None:
    """Whoever cancels at a bad moment and judges the candidate again finds the evidence where it was."""
    tests = [round_of(number, [0.0] * 12) for number in range(1, 11)]
    last = round_of(11, [1.0] * 6)
    assert {test.test_number for test in (*tests, last)} == {1}
    so_far = evidence_so_far(last)
    assert len(so_far.earlier) == 120
    ended_tests_settle(world.line, before=12)
    last.refresh_from_db()
    assert last.e_value is not None
    assert last.e_value < 0.001
    assert error_control(world.line, before=12) == ErrorControl(1, 0, last.cost or -1.0)


def test_another_hypothesis_candidate_or_incumbent_is_another_test(
    world: LineWorld, round_of: Round
) -> None:
    round_of(1, UNSURE)
    judged = world.judged(number=2, round_id=uuid.uuid4())
    other = replace(SETTINGS, outcomes="strength")
    assert gate_test_open(judged, other).continues is None
    longer = replace(SETTINGS, max_labels=300, max_age_hours=5.0)  # asks the same of people
    judged = world.judged(number=2, round_id=uuid.uuid4())
    assert gate_test_open(judged, longer).continues is not None
    for change in ({"candidate": uuid.uuid4()}, {"incumbent": uuid.uuid4()}):
        assert round_of(2, [], **change).continues is None


def test_a_test_of_another_candidate_in_between_ends_the_first(round_of: Round) -> None:
    round_of(1, UNSURE)
    round_of(2, UNSURE, candidate=uuid.uuid4())
    assert round_of(3, []).continues is None


def test_an_incumbent_against_itself_never_goes_on(world: LineWorld, round_of: Round) -> None:
    round_of(1, UNSURE, candidate=world.incumbent.id)
    assert round_of(2, [], candidate=world.incumbent.id).continues is None


def test_which_candidate_may_be_judged_again(world: LineWorld, round_of: Round) -> None:
    assert candidate_unresolved(world.line) is None
    world.deploy_first()
    round_of(1, [])
    assert candidate_unresolved(world.line) is None  # nobody has judged it
    round_of(2, UNSURE)
    assert candidate_unresolved(world.line) == world.candidate.id
    round_of(3, UNSURE, incumbent=uuid.uuid4())
    assert candidate_unresolved(world.line) is None  # another policy is deployed


@pytest.mark.parametrize("said", [[1.0] * 60, [0.0] * 60])
def test_a_candidate_that_is_shown_better_or_worse_is_not_judged_again(
    world: LineWorld, round_of: Round, said: list[float]
) -> None:
    world.deploy_first()
    round_of(1, said)
    assert candidate_unresolved(world.line) is None
