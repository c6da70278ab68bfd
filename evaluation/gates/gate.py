"""Running the gate for one round: measure, place in the line's error control, decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from annotation.contracts import GateLabel, OverlapVote
from evaluation.contracts import (
    EProcessPoint,
    GateMeasurements,
    GateVerdict,
    IntegrityFact,
    Interval,
)
from evaluation.gates import measuring
from evaluation.gates.selectors import error_control_position, gate_policy_current
from evaluation.gates.verdicts import gate_policy_decide
from training import facade as training

NO_SCORES: measuring.TrainScores = MappingProxyType({})


def gate_measure(
    *,
    line_id: UUID,
    round_number: int,
    policy_measurements: Mapping[str, Any],
    reward_measurements: Mapping[str, Any],
    labels: Sequence[GateLabel],
    overlap: Sequence[OverlapVote],
    candidate: UUID,
    incumbent: UUID,
    labels_remaining: int,
    waiting_ends: bool,
    integrity: Sequence[IntegrityFact],
    train_scores: measuring.TrainScores = NO_SCORES,
    gold_question_accuracy: Interval | None = None,
    kl_optimum: float | None = None,
    mismatch: Interval | None = None,
    as_of: datetime | None = None,
) -> GateMeasurements:
    """Everything that the checks read, from what the programs measured and what people said.

    `policy_measurements` and `reward_measurements` are the results of the two evaluation runs as
    JSON (empty: not measured). `labels` come in order of submission. `labels_remaining` is what
    budget and prompts still allow; `waiting_ends` is true past the round's maximum age.
    `train_scores` maps a prompt to the train reward of the judged texts, (candidate's,
    incumbent's); without them the agreement on fresh labels is not measured. `as_of` is when the
    round started: the gate policy of that time counts (here, in `gate_verdict` and in
    `decision_record`); None takes the newest.
    """
    settings = gate_policy_current(line_id, as_of=as_of).settings
    outcomes = measuring.outcomes_from_labels(labels, candidate=candidate, incumbent=incumbent)
    facts = measuring.label_facts(labels, candidate=candidate, incumbent=incumbent)
    test_number, discoveries = error_control_position(line_id=line_id, round_number=round_number)
    return GateMeasurements(
        candidate_sha256=training.model_version_get(candidate).sha256,
        incumbent_sha256=training.model_version_get(incumbent).sha256,
        integrity=(*integrity, *facts),
        gold_question_accuracy=gold_question_accuracy,
        labels=measuring.human_labels(
            outcomes, settings=settings, labels_left=labels_remaining, expired=waiting_ends
        ),
        policy=measuring.policy_measurements_read(policy_measurements),
        reward_model=measuring.reward_measurements_read(reward_measurements),
        fresh_agreement=measuring.fresh_agreement(outcomes, train_scores),
        fresh_agreement_sequence=measuring.fresh_agreement_sequence(outcomes, train_scores),
        human_ceiling=measuring.human_ceiling(overlap),
        kl_optimum=kl_optimum,
        mismatch=mismatch,
        test_number=test_number,
        discoveries=discoveries,
    )


def gate_verdict(
    *, line_id: UUID, measurements: GateMeasurements, as_of: datetime | None = None
) -> GateVerdict:
    """The verdict by the gate policy of `as_of`; the level is set by the measurements' place."""
    return gate_policy_decide(measurements, gate_policy_current(line_id, as_of=as_of).settings)


def gate_trajectory(
    *,
    line_id: UUID,
    labels: Sequence[GateLabel],
    candidate: UUID,
    incumbent: UUID,
    as_of: datetime | None = None,
) -> tuple[EProcessPoint, ...]:
    """How the evidence grew label by label, for the report's chart."""
    settings = gate_policy_current(line_id, as_of=as_of).settings
    outcomes = measuring.outcomes_from_labels(labels, candidate=candidate, incumbent=incumbent)
    return measuring.label_trajectory(outcomes, settings=settings)
