"""Measuring and deciding a round on a real line, with its error control over rounds."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from typing import Any

import pytest

from evaluation import facade
from evaluation.contracts import (
    CheckSettings,
    GateMeasurements,
    GatePolicySettings,
    HumanLabels,
    IntegrityFact,
    Interval,
)
from evaluation.gates.verdicts import NOTHING_NEW
from tests.evaluation.gates.world import LineWorld, labels_from
from tests.evaluation.policy.evidence import GOOD, LABELS, POLICY

SOUND = (IntegrityFact("artifact_hashes", True), IntegrityFact("prompt_split", True))


def measure(world: LineWorld, outcomes: list[float], **changes: Any) -> GateMeasurements:
    labels = labels_from(outcomes, candidate=world.candidate.id, incumbent=world.incumbent.id)
    arguments: dict[str, Any] = {
        "line_id": world.line,
        "round_number": 1,
        "policy_measurements": POLICY.to_json(),
        "reward_measurements": {},
        "labels": labels,
        "overlap": [],
        "candidate": world.candidate.id,
        "incumbent": world.incumbent.id,
        "labels_remaining": 200,
        "waiting_ends": False,
        "integrity": SOUND,
        "train_scores": {
            str(label.prompt_id): (1.0, 0.0) if i % 10 else (0.0, 1.0)
            for i, label in enumerate(labels)
        },
    }
    return facade.gate_measure(**{**arguments, **changes})


def wins(share: float, n: int) -> list[float]:
    """`n` outcomes of which `share` are wins, evenly mixed."""
    return [1.0 if math.floor((i + 1) * share) > math.floor(i * share) else 0.0 for i in range(n)]


def test_a_candidate_that_people_prefer_is_promoted(world: LineWorld) -> None:
    measurements = measure(world, wins(0.75, 200))
    verdict = facade.gate_verdict(line_id=world.line, measurements=measurements)
    assert verdict.verdict == "PROMOTE", verdict.reasons
    assert measurements.candidate_sha256 == world.candidate.sha256
    assert measurements.labels is not None
    assert measurements.labels.wins == 150


def test_an_even_candidate_waits_for_labels_and_is_rejected_when_none_are_left(
    world: LineWorld,
) -> None:
    even = [1.0, 0.0] * 60
    scores: dict[str, tuple[float, float]] = {}
    waiting = measure(world, even, train_scores=scores)
    assert facade.gate_verdict(line_id=world.line, measurements=waiting).verdict == "INCONCLUSIVE"
    spent = measure(world, even, train_scores=scores, labels_remaining=0)
    assert facade.gate_verdict(line_id=world.line, measurements=spent).verdict == "REJECT"
    late = measure(world, even, train_scores=scores, waiting_ends=True)
    assert facade.gate_verdict(line_id=world.line, measurements=late).verdict == "REJECT"


def test_a_worse_candidate_is_rejected_before_its_labels_are_spent(world: LineWorld) -> None:
    verdict = facade.gate_verdict(line_id=world.line, measurements=measure(world, wins(0.25, 120)))
    assert verdict.verdict == "REJECT"
    assert verdict.check("G1").status == "FAIL"  # type: ignore[union-attr]


def test_before_any_label_the_gate_asks_for_labels(world: LineWorld) -> None:
    verdict = facade.gate_verdict(line_id=world.line, measurements=measure(world, []))
    assert verdict.verdict == "INCONCLUSIVE"
    assert "labels" in verdict.wants


def test_the_first_and_last_label_around_the_threshold(world: LineWorld) -> None:
    """At level a the check passes at e-value 1/a and not just under it."""
    level = 0.05 * 6 / math.pi**2
    at = replace(LABELS, e_value=1 / level, max_e_value=1 / level)
    under = replace(LABELS, e_value=0.999 / level, max_e_value=0.999 / level)

    def status(labels: HumanLabels) -> str:
        found = facade.gate_verdict(
            line_id=world.line, measurements=world.measured(labels=labels)
        ).check("G1")
        assert found is not None
        return found.status

    assert (status(at), status(under)) == ("PASS", "UNRESOLVED")


# ------------------------------------------------------------------ error control


def test_each_tested_round_moves_the_level_and_each_discovery_earns_it_back(
    world: LineWorld,
) -> None:
    levels: list[object] = []
    for number, e_value in ((1, 80.0), (2, 3.0), (3, 3.0)):
        position = measure(world, [1.0], round_number=number)
        labels = replace(LABELS, e_value=e_value, max_e_value=e_value)
        decided = world.decide(
            round_id=uuid.uuid4(),
            number=number,
            labels=labels,
            test_number=position.test_number,
            discoveries=position.discoveries,
        )
        levels.append((decided.test_number, decided.discoveries, decided.e_level))
    gamma = [6 / (math.pi * t) ** 2 for t in (1, 2, 3)]
    assert levels == [
        (1, 0, pytest.approx(0.05 * gamma[0])),
        (2, 1, pytest.approx(0.05 * gamma[1] * 2)),  # round 1 was a discovery
        (3, 1, pytest.approx(0.05 * gamma[2] * 2)),  # round 2 was none
    ]


def test_a_round_without_labels_spends_no_test(world: LineWorld) -> None:
    world.decide(round_id=uuid.uuid4(), number=1, labels=None)
    assert measure(world, [1.0], round_number=2).test_number == 2 - 1


def test_revisions_of_one_round_are_one_test(world: LineWorld) -> None:
    for labels in (LABELS, replace(LABELS, labels=410)):
        world.decide(number=1, labels=labels)
    assert measure(world, [1.0], round_number=2).test_number == 2
    assert measure(world, [1.0], round_number=1).test_number == 1  # its own place stays


def test_a_discovery_counts_though_another_check_rejects(world: LineWorld) -> None:
    decided = world.decide(
        number=1, policy=replace(POLICY, kl={"reference": Interval(20, 19, 21, 0.95, 99)})
    )
    assert decided.verdict.verdict == "REJECT"
    assert measure(world, [1.0], round_number=2).discoveries == 1


# ------------------------------------------------------------------------------ A/A


def zero(interval: Interval) -> Interval:
    return replace(interval, estimate=0.0, low=0.0, high=0.0)


def self_against_self(world: LineWorld, **changes: Any) -> GateMeasurements:
    """What identical weights measure: exactly no gain, and a lucky streak of labels."""
    same: dict[str, Any] = {
        "candidate_sha256": world.incumbent.sha256,
        "incumbent_sha256": world.incumbent.sha256,
    }
    policy = replace(
        POLICY,
        train_gain=zero(POLICY.train_gain),
        held_out_gain=zero(POLICY.held_out_gain),
        length_free_share=None,
        aa_difference=0.0,
    )
    return replace(GOOD, **{**same, "policy": policy, **changes})


def test_identical_weights_pass_integrity_and_are_not_promoted(world: LineWorld) -> None:
    verdict = facade.gate_verdict(line_id=world.line, measurements=self_against_self(world))
    assert verdict.verdict == "REJECT"
    assert verdict.check("G0").status == "PASS"  # type: ignore[union-attr]
    assert verdict.check("G3").status == "FAIL"  # type: ignore[union-attr]


def test_identical_weights_that_score_differently_break_integrity(world: LineWorld) -> None:
    policy = replace(POLICY, aa_difference=1e-6)
    verdict = facade.gate_verdict(
        line_id=world.line, measurements=self_against_self(world, policy=policy)
    )
    assert verdict.check("G0").status == "FAIL"  # type: ignore[union-attr]


def test_identical_weights_are_not_promoted_with_every_guardrail_off(world: LineWorld) -> None:
    off = {check: CheckSettings(enabled=False) for check in ("G3", "G4", "G5", "G10", "G11")}
    facade.gate_policy_save(
        line_id=world.line, settings=GatePolicySettings(checks=off), actor="a lead"
    )
    verdict = facade.gate_verdict(line_id=world.line, measurements=self_against_self(world))
    assert verdict.verdict == "REJECT"
    assert verdict.reasons == (NOTHING_NEW,)


def test_the_trajectory_ends_at_the_measured_evidence(world: LineWorld) -> None:
    outcomes = wins(0.7, 40)
    labels = labels_from(outcomes, candidate=world.candidate.id, incumbent=world.incumbent.id)
    points = facade.gate_trajectory(
        line_id=world.line,
        labels=labels,
        candidate=world.candidate.id,
        incumbent=world.incumbent.id,
    )
    measured = measure(world, outcomes).labels
    assert measured is not None
    assert points[-1].labels == 40
    assert points[-1].e_value == pytest.approx(measured.e_value)
