"""The gate tried on evidence of no round: which policy, at which level, and when it wants more labels."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from annotation.contracts import GateLabel
from evaluation.contracts import (
    CheckpointRewards,
    CheckSettings,
    GateMeasurements,
    GatePolicySettings,
    IntegrityFact,
)
from evaluation.gates.models import GatePolicy, GateTest
from evaluation.gates.rehearsal import (
    GateInForce,
    Rehearsal,
    gate_in_force,
    gate_rehearse,
    mismatch_of,
)
from evaluation.policy import DEFAULT_CHECKS, error_level

CANDIDATE, INCUMBENT = uuid.UUID(int=1), uuid.UUID(int=2)
ONLY_G1 = GatePolicySettings(
    max_labels=200,
    checks={
        name: CheckSettings(enabled=False) for name in DEFAULT_CHECKS if name not in ("G0", "G1")
    },
)


def settings_with(**changed: object) -> GatePolicySettings:
    return GatePolicySettings.from_json({**ONLY_G1.to_json(), **changed})


def labels(values: list[int]) -> list[GateLabel]:
    """One a prompt, ten people in turn; under 4 the candidate was preferred."""
    return [
        GateLabel(
            comparison_id=uuid.UUID(int=1000 + i),
            prompt_id=uuid.UUID(int=1000 + i),
            group=str(i),
            rater=f"person {i % 10}",
            slot_versions=(CANDIDATE, INCUMBENT),
            value=value,
            both_bad=False,
            at=datetime(2026, 1, 1, tzinfo=UTC),
            texts=("a", "b"),
        )
        for i, value in enumerate(values)
    ]


def rehearsal(gate: GateInForce | None = None, pairs: int = 200) -> Rehearsal:
    measured = GateMeasurements(
        candidate_sha256="c",
        incumbent_sha256="i",
        integrity=(IntegrityFact("artifact_hashes", True), IntegrityFact("prompt_split", True)),
        error_spent=0.0,
    )
    gate = gate or GateInForce(settings_with(), version=1)
    return Rehearsal(gate, measured, CANDIDATE, INCUMBENT, pairs)


def test_a_clear_winner_passes_a_clear_loser_is_refused_and_a_tie_wants_labels_until_there_are_none():
    assert gate_rehearse(rehearsal(), labels([1] * 100), {}).verdict == "PROMOTE"
    assert gate_rehearse(rehearsal(), labels([7] * 100), {}).verdict == "REJECT"
    open_ = gate_rehearse(rehearsal(), labels([1, 7] * 50), {})
    assert (open_.verdict, open_.labels_wanted) == ("INCONCLUSIVE", True)
    assert gate_rehearse(rehearsal(pairs=100), labels([1, 7] * 50), {}).verdict == "REJECT"
    assert gate_rehearse(rehearsal(), labels([1, 7] * 100), {}).verdict == "REJECT"


def test_labels_on_other_versions_are_no_evidence():
    strange = [
        GateLabel(**{**vars(label), "slot_versions": (INCUMBENT, uuid.UUID(int=3))})
        for label in labels([1] * 100)
    ]
    verdict = gate_rehearse(rehearsal(), strange, {})
    check = verdict.check("G0")
    assert check is not None
    assert check.status == "FAIL"


def test_the_bets_are_aimed_at_what_may_be_had():
    gate = GateInForce(settings_with(max_labels=1000), version=1)
    assert gate.aim(120).labels == 120
    assert gate.aim(10_000).labels <= 1000
    assert gate.level == error_level(0.0, 0, 0.05)


@pytest.mark.django_db
def test_a_line_is_tested_with_its_policy_where_its_error_control_stands():
    line = uuid.uuid4()
    assert gate_in_force(None) == GateInForce(GatePolicySettings(version=0), 0)
    assert gate_in_force(line) == gate_in_force(None)
    GatePolicy.objects.create(line=line, version=3, settings=settings_with().to_json())
    GateTest.objects.create(
        round=uuid.uuid4(),
        line=line,
        number=1,
        candidate=CANDIDATE,
        incumbent=INCUMBENT,
        settings={},
        test_number=1,
        discoveries=0,
        error_spent=0.0,
        level=0.03,
        labels=100,
        labelled=90,
        e_value=0.4,
        discovered=False,
        cost=0.02,
    )
    found = gate_in_force(line)
    assert (found.version, found.settings.max_labels) == (3, 200)
    assert (found.tests, found.discoveries, found.spent) == (1, 0, 0.02)
    assert found.level == error_level(0.02, 0, 0.05) < gate_in_force(None).level


def test_no_checkpoint_is_no_mismatch():
    assert mismatch_of([]) is None
    found = mismatch_of([CheckpointRewards(0, 0.0, 0.0), CheckpointRewards(1, 1.0, -1.0)])
    assert found is not None
    assert found.parted == 1
