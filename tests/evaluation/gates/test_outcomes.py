"""From labels to evidence; the numbers are worked out by hand."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from annotation.contracts import OverlapVote
from evaluation.contracts import GatePolicySettings
from evaluation.gates import outcomes as rules
from evaluation.statistics.sequences import confidence_sequence
from tests.evaluation.gates.world import labels_from

CANDIDATE, INCUMBENT = uuid.uuid4(), uuid.uuid4()
SIDES: dict[str, Any] = {"candidate": CANDIDATE, "incumbent": INCUMBENT}


def outcomes_of(values: list[float]) -> list[rules.Outcome]:
    return rules.outcomes_from_labels(labels_from(values, **SIDES), **SIDES)


def test_a_label_counts_for_the_candidate_on_whichever_side_it_stood() -> None:
    found = outcomes_of([1.0, 1.0, 0.0, 0.0, 0.5, 0.5])
    assert [outcome.value for outcome in found] == [1.0, 1.0, 0.0, 0.0, 0.5, 0.5]


def test_only_the_first_label_of_a_prompt_counts() -> None:
    first, second = labels_from([1.0, 0.0], **SIDES)
    again = replace(second, prompt_id=first.prompt_id)
    found = rules.outcomes_from_labels([first, again], **SIDES)
    assert [outcome.value for outcome in found] == [1.0]
    facts = rules.label_facts([first, again], **SIDES)
    assert [fact.name for fact in facts if not fact.ok] == ["one_label_per_prompt"]


def test_a_label_on_other_versions_breaks_integrity_and_is_not_counted() -> None:
    (label,) = labels_from([1.0], candidate=CANDIDATE, incumbent=uuid.uuid4())
    assert rules.outcomes_from_labels([label], **SIDES) == []
    facts = rules.label_facts([label], **SIDES)
    assert [fact.name for fact in facts if not fact.ok] == ["labels_on_these_versions"]


def test_with_one_version_on_both_sides_slot_0_plays_the_candidate() -> None:
    labels = labels_from([1.0, 1.0], candidate=CANDIDATE, incumbent=CANDIDATE)
    found = rules.outcomes_from_labels(labels, candidate=CANDIDATE, incumbent=CANDIDATE)
    assert [outcome.value for outcome in found] == [1.0, 0.0]  # slot 0 was preferred, then slot 1


def test_labels_are_counted_and_the_rate_halves_ties() -> None:
    outcomes = outcomes_of([1.0] * 6 + [0.5] * 2 + [0.0] * 2)
    found = rules.human_labels(
        outcomes, settings=GatePolicySettings(), labels_left=7, expired=False
    )
    assert (found.labels, found.wins, found.ties, found.losses) == (10, 6, 2, 2)
    assert found.win_rate is not None
    assert found.win_rate.estimate == pytest.approx(0.7)
    assert (found.annotators, found.clusters, found.labels_left) == (10, 10, 7)


def test_evidence_is_that_of_betting_on_wins_in_their_order() -> None:
    """After one win each bettor f holds 1 + f, so the mixture is 1 + the mean of the fractions."""
    from evaluation.statistics.sequences import FRACTIONS

    found = rules.human_labels(
        outcomes_of([1.0]), settings=GatePolicySettings(), labels_left=0, expired=False
    )
    assert found.e_value == pytest.approx(1 + FRACTIONS.mean())
    assert found.max_e_value_worse == pytest.approx(1 - FRACTIONS.mean())


def test_no_labels_are_no_evidence() -> None:
    found = rules.human_labels([], settings=GatePolicySettings(), labels_left=5, expired=False)
    assert (found.labels, found.e_value, found.win_rate) == (0, 1.0, None)
    assert rules.label_trajectory([], settings=GatePolicySettings()) == ()


def test_agreement_leaves_ties_out_and_halves_equal_scores() -> None:
    outcomes = outcomes_of([1.0] * 8 + [0.0] * 2 + [0.5] * 5)
    scores = {outcome.prompt_id: (1.0, 0.0) for outcome in outcomes}
    scores[outcomes[0].prompt_id] = (0.3, 0.3)
    found = rules.fresh_agreement(outcomes, scores)
    assert found is not None
    assert found.estimate == pytest.approx((7 + 0.5) / 10)  # 7 right, 1 equal, 2 wrong
    assert found.n == 10


def test_agreement_at_any_time_is_the_confidence_sequence_of_the_hits_in_their_order() -> None:
    outcomes = outcomes_of([1.0, 0.0, 1.0, 1.0] * 10 + [0.5])
    scores = {outcome.prompt_id: (1.0, 0.0) for outcome in outcomes}
    fixed = rules.fresh_agreement(outcomes, scores)
    found = rules.fresh_agreement_sequence(outcomes, scores)
    assert fixed is not None
    assert found is not None
    assert (found.estimate, found.n) == (fixed.estimate, fixed.n) == (0.75, 40)
    assert (found.low, found.high) == tuple(confidence_sequence([1.0, 0.0, 1.0, 1.0] * 10)[-1])
    assert found.low < fixed.low < fixed.high < found.high
    assert rules.fresh_agreement_sequence(outcomes[:9], scores) is None


def test_agreement_on_a_handful_of_labels_is_not_measured() -> None:
    outcomes = outcomes_of([1.0] * (rules.AGREEMENT_MINIMUM - 1))
    scores = {outcome.prompt_id: (1.0, 0.0) for outcome in outcomes}
    assert rules.fresh_agreement(outcomes, scores) is None
    assert rules.fresh_agreement(outcomes_of([1.0] * 20), {}) is None


def votes(comparison: UUID, *values: int) -> list[OverlapVote]:
    return [
        OverlapVote(comparison, f"group-{comparison}", f"rater-{i}", value)
        for i, value in enumerate(values)
    ]


def test_the_human_ceiling_is_how_often_two_people_agree() -> None:
    agreeing = [vote for _ in range(15) for vote in votes(uuid.uuid4(), 1, 3)]
    differing = [vote for _ in range(5) for vote in votes(uuid.uuid4(), 2, 6)]
    split = votes(uuid.uuid4(), 1, 2, 7)  # 1 of its 3 pairs agrees
    tied = votes(uuid.uuid4(), 4, 1)  # a tie is no side
    found = rules.human_ceiling([*agreeing, *differing, *split, *tied])
    assert found is not None
    assert found.estimate == pytest.approx((15 + 1 / 3) / 21)
    assert rules.human_ceiling(agreeing) is None  # 15 comparisons are too few
