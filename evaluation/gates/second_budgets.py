"""A test that went on: what its earlier budgets left, and the candidate that may be given another.

The hypothesis is one: people like those who compared (or those) prefer this candidate to this incumbent in
at most so many pairs. A budget ends when its labels are used up, its time is over or a person cancels,
which nobody can choose by an answer still to come. So the evidence goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from annotation import facade as annotation
from annotation.contracts import GateLabel
from evaluation.contracts import GatePolicySettings
from evaluation.gates.models import GateTest
from evaluation.gates.outcomes import (
    Outcome,
    label_evidence,
    outcomes_from_labels,
    outcomes_together,
    read_in_blocks,
)
from evaluation.gates.predicting import NOTHING_PREDICTED, PairPredictions
from evaluation.gates.selectors import deployed_version, pair_predictions
from evaluation.policy import check_settings
from evaluation.statistics.betting import Aim, Budget


@dataclass(frozen=True)
class EvidenceSoFar:
    """What the evidence of a test is counted by: the outcomes of its earlier budgets, its aim, and
    what was predicted for each budget (empty where nothing was for any)."""

    earlier: tuple[Outcome, ...]
    aim: Aim
    predictions: tuple[PairPredictions, ...]


def evidence_so_far(test: GateTest) -> EvidenceSoFar:
    """Of a test as it stands before the first label of its own round."""
    earlier: list[Outcome] = []
    budgets: list[Budget] = []
    for row in _before(test):
        earlier = outcomes_together(earlier, _outcomes(row, row.round))
        read = len(read_in_blocks(earlier, _annotators(row.gate_settings)))
        budgets.append(Budget(row.labels, read - sum(budget.read for budget in budgets)))
    kept = [pair_predictions(row.round) for row in (*_before(test), test)]
    predicted = tuple(known or NOTHING_PREDICTED for known in kept) if any(kept) else ()
    return EvidenceSoFar(tuple(earlier), Aim(test.level, test.labels, tuple(budgets)), predicted)


def outcomes_so_far(test: GateTest, so_far: EvidenceSoFar) -> list[Outcome]:
    """All outcomes of a test in the order of its budgets, those of its own round with them."""
    return outcomes_together(so_far.earlier, _outcomes(test, test.round))


def same_hypothesis(one: GatePolicySettings, other: GatePolicySettings) -> bool:
    """Whether two policies ask people the same, and count their answers alike."""
    return _asked(one) == _asked(other)


def candidate_unresolved(line_id: UUID) -> UUID | None:
    """The candidate of the line's last gate test, if labels showed nothing either way and what it was compared
    with is still deployed: it may be judged again, and its test goes on. Else None."""
    test = GateTest.objects.filter(line=line_id).order_by("-number").first()
    if test is None or test.candidate == test.incumbent:
        return None
    if deployed_version(line_id) != test.incumbent:
        return None
    so_far = evidence_so_far(test)
    outcomes = outcomes_so_far(test, so_far)
    evidence = label_evidence(
        outcomes, settings=test.gate_settings, aim=so_far.aim, predictions=so_far.predictions
    )
    if evidence is None:
        return test.candidate if outcomes else None
    shown = evidence.max_e_value >= 1 / test.level
    worse = evidence.max_e_value_worse >= 1 / test.gate_settings.alpha
    return None if shown or worse else test.candidate


def _before(test: GateTest) -> list[GateTest]:
    """The tests that it goes on with, the first one first."""
    found: list[GateTest] = []
    while test.continues is not None:
        test = GateTest.objects.get(pk=test.continues)
        found.insert(0, test)
    return found


def _outcomes(test: GateTest, round_id: UUID) -> list[Outcome]:
    labels: Sequence[GateLabel] = annotation.gate_labels(round_id=round_id)
    return outcomes_from_labels(labels, candidate=test.candidate, incumbent=test.incumbent)


def _annotators(settings: GatePolicySettings) -> int:
    return int(check_settings(settings)["G1"].thresholds["annotators"])


def _asked(settings: GatePolicySettings) -> tuple[object, ...]:
    thresholds = check_settings(settings)["G1"].thresholds
    told = (settings.alpha, settings.hypothesis, settings.outcomes, settings.predictions)
    return (*told, *sorted(thresholds.items()))
