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
from evaluation.gates.selectors import error_control
from evaluation.gates.services.registration import ended_tests_settle, gate_test_open
from evaluation.policy import error_cost, error_level
from evaluation.statistics.betting import hedged_e_process
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
        labels[judged.round_id] = labels_from(
            outcomes, candidate=world.candidate.id, incumbent=world.incumbent.id
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
    after = round_of(2, [])
    abandoned.refresh_from_db()
    assert abandoned.cost is not None
    e_value = float(hedged_e_process([0.0] * 12, aim=abandoned.aim)[-1])
    assert (abandoned.labelled, abandoned.discovered) == (12, False)
    assert abandoned.e_value == pytest.approx(e_value)
    assert abandoned.cost == pytest.approx(FIRST * (1 - e_value))
    assert (after.test_number, after.error_spent) == (2, abandoned.cost)
    assert after.level == pytest.approx(error_level(abandoned.cost, 0, 0.05))
    assert after.level < FIRST


def test_thirty_tries_that_are_cancelled_spend_no_more_than_the_line_has(round_of: Round) -> None:
    for number in range(1, 31):
        last = round_of(number, [0.0] * 30)
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
