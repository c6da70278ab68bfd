"""What people said of two policies, joined to what programs measured of them. Pure: no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from annotation.contracts import GateLabel
from evaluation.contracts import GateMeasurements, GatePolicySettings
from evaluation.gates.equal_length import equal_length
from evaluation.gates.fragility import labels_to_flip
from evaluation.gates.outcomes import (
    Outcome,
    TrainScores,
    fresh_discrimination,
    fresh_discrimination_sequence,
    fresh_side,
    human_labels,
    label_facts,
    outcomes_from_labels,
    outcomes_together,
)
from evaluation.gates.predicting import PairPredictions
from evaluation.statistics.betting import Aim


def labels_join(
    measured: GateMeasurements,
    labels: Sequence[GateLabel],
    *,
    candidate: UUID,
    incumbent: UUID,
    scores: TrainScores,
    settings: GatePolicySettings,
    aim: Aim,
    labels_left: int,
    expired: bool,
    predictions: Sequence[PairPredictions] = (),
    earlier: Sequence[Outcome] = (),
) -> GateMeasurements:
    """`measured` with everything that rests on labels.

    `scores` are the training reward model's by prompt, `predictions` the held-out one's for each budget of
    the aim, where the policy of the gate takes them into account. `earlier` are the outcomes of
    earlier budgets of the same test, which the win rate rests on as well.
    """
    outcomes = outcomes_from_labels(labels, candidate=candidate, incumbent=incumbent)
    told = outcomes_together(earlier, outcomes)
    people = human_labels(
        told,
        settings=settings,
        aim=aim,
        labels_left=labels_left,
        expired=expired,
        predictions=predictions,
        carried=len(earlier),
    )
    facts = label_facts(labels, candidate=candidate, incumbent=incumbent)
    return replace(
        measured,
        integrity=(*measured.integrity, *facts),
        labels=people,
        fresh_discrimination=fresh_discrimination(outcomes, scores),
        fresh_discrimination_sequence=fresh_discrimination_sequence(outcomes, scores),
        fresh_side=fresh_side(outcomes, scores),
        length_control=equal_length(outcomes, labels, candidate=candidate, incumbent=incumbent),
        labels_to_flip=labels_to_flip(
            told, people, settings=settings, aim=aim, predictions=predictions
        ),
    )
