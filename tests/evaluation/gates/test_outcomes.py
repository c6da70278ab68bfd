"""From labels to evidence; the numbers are worked out by hand."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from annotation.contracts import OverlapVote
from evaluation.contracts import CheckSettings, GatePolicySettings, HumanLabels
from evaluation.gates import outcomes as rules
from evaluation.statistics.betting import Aim, aimed_capital, hedged_e_process
from evaluation.statistics.intervals import wilson_interval
from evaluation.statistics.people import people_e_process
from evaluation.statistics.sequences import FRACTIONS, confidence_sequence
from tests.evaluation.gates.world import labels_from

CANDIDATE, INCUMBENT = uuid.uuid4(), uuid.uuid4()
SIDES: dict[str, Any] = {"candidate": CANDIDATE, "incumbent": INCUMBENT}
AIM = Aim(level=0.03, labels=300)


def outcomes_of(values: list[float], *, raters: int = 10) -> list[rules.Outcome]:
    return rules.outcomes_from_labels(labels_from(values, raters=raters, **SIDES), **SIDES)


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


def measured(
    found: list[rules.Outcome], *, people: int = 1, left: int = 7, **changes: Any
) -> HumanLabels:
    """What the gate reads of these outcomes, in blocks of `people`."""
    told = {"hypothesis": "panel", "outcomes": "side", **changes}
    settings = GatePolicySettings(
        checks={"G1": CheckSettings(thresholds={"annotators": float(people)})}, **told
    )
    return rules.human_labels(found, settings=settings, aim=AIM, labels_left=left, expired=False)


def test_labels_are_counted_and_the_rate_halves_ties() -> None:
    found = measured(outcomes_of([1.0] * 6 + [0.5] * 2 + [0.0] * 2))
    assert (found.labels, found.wins, found.ties, found.losses) == (10, 6, 2, 2)
    assert found.win_rate is not None
    assert found.win_rate.estimate == pytest.approx(0.7)
    assert (found.annotators, found.clusters, found.labels_left) == (10, 10, 7)


def test_each_rater_has_a_win_rate_of_their_own() -> None:
    found = rules.rater_verdicts(outcomes_of([1.0, 0.0, 0.5, 0.0, 1.0], raters=2))
    first, second = found
    assert (first.labels, first.ties) == (3, 1)
    assert first.win_rate.estimate == pytest.approx(2.5 / 3)
    assert (second.labels, second.ties, second.win_rate.estimate) == (2, 0, 0.0)
    assert first.win_rate == wilson_interval(2.5, 3)
    assert rules.rater_verdicts([]) == ()


def test_evidence_is_that_of_betting_on_wins_in_their_order() -> None:
    """A quarter on the mixture (1 + the mean of the fractions after one win), the rest on the aimed bets."""
    found = measured(outcomes_of([1.0]))
    aimed = aimed_capital(np.array([1.0]), aim=AIM, null=0.5, block=1)[0]
    assert found.e_value == pytest.approx(0.25 * (1 + FRACTIONS.mean()) + 0.75 * aimed)
    assert found.max_e_value_worse == pytest.approx(1 - FRACTIONS.mean())


def test_how_strongly_a_text_is_preferred_counts_where_the_policy_says_so() -> None:
    labels = [replace(label, value=3) for label in labels_from([1.0] * 40, **SIDES)]
    outcomes = rules.outcomes_from_labels(labels, **SIDES)
    # slot 0 slightly better, the candidate in it every other time: 4/6 and 2/6
    assert [outcome.strength for outcome in outcomes[:2]] == pytest.approx([4 / 6, 2 / 6])
    assert [outcome.value for outcome in outcomes[:2]] == [1.0, 0.0]
    graded = measured(outcomes, outcomes="strength")
    expected = hedged_e_process([4 / 6, 2 / 6] * 20, aim=AIM)
    assert graded.max_e_value == pytest.approx(expected.max())
    sides = measured(outcomes, outcomes="side")
    assert sides.max_e_value == pytest.approx(hedged_e_process([1.0, 0.0] * 20, aim=AIM).max())


def by_raters(*raters: str) -> list[rules.Outcome]:
    return [
        replace(outcome, rater=rater)
        for outcome, rater in zip(outcomes_of([1.0] * len(raters)), raters, strict=True)
    ]


def test_labels_are_read_in_blocks_of_different_people() -> None:
    quick = by_raters("a", "a", "a", "b", "c", "b")
    read = rules.read_in_blocks(quick, 3)
    # the first block is a's first, b's and c's; a's second waits for others
    assert [quick.index(outcome) for outcome in read] == [0, 3, 4]
    assert rules.read_in_blocks(quick, 1) == quick
    assert rules.read_in_blocks(quick, 4) == []


def test_nobody_counts_more_than_their_share_however_many_they_label() -> None:
    raters = ["quick"] * 300 + [f"{i % 7}" for i in range(70)]
    read = rules.read_in_blocks(by_raters(*raters), 8)
    assert len(read) == 80
    assert sum(outcome.rater == "quick" for outcome in read) == 10


def test_a_fourth_person_fills_the_place_of_one_who_left() -> None:
    read = rules.read_in_blocks(by_raters("a", "b", "c", "a", "b", "d"), 3)
    assert [outcome.rater for outcome in read] == ["a", "b", "c", "a", "b", "d"]


def test_one_persons_streak_is_no_evidence() -> None:
    found = measured(by_raters(*["a"] * 300), people=8)
    assert (found.labels, found.read, found.annotators) == (300, 0, 1)
    assert (found.e_value, found.max_e_value, found.more_labels) == (1.0, 1.0, None)


def test_people_like_them_are_the_hypothesis_unless_said() -> None:
    assert GatePolicySettings().hypothesis == "population"
    outcomes = outcomes_of([1.0, 1.0, 0.0, 1.0] * 30)
    population = measured(outcomes, people=8, hypothesis="population")
    panel = measured(outcomes, people=8)
    assert population.max_e_value != panel.max_e_value
    assert population.panel_max_e_value == panel.panel_max_e_value == panel.max_e_value
    expected = people_e_process(
        [o.value for o in outcomes], [o.rater for o in outcomes], aim=AIM, block=8
    )
    assert population.max_e_value == pytest.approx(expected.max())


def test_the_forecast_walks_on_at_the_rate_so_far() -> None:
    outcomes = outcomes_of([1.0, 1.0, 0.0] * 20)
    found = measured(outcomes)
    # barrier z(.03 * .75 / 2) sqrt(300) sqrt(2/9) = 18.63, of which (2/3 - 1/2) * 60 = 10 are gone
    assert found.more_labels == math.ceil((2.28182 * math.sqrt(300 * 2 / 9) - 10) * 6)
    assert measured(outcomes_of([1.0, 0.0] * 20)).more_labels is None


def test_the_win_rate_is_clustered_by_annotator_and_by_prompt() -> None:
    outcomes = outcomes_of([1.0, 0.0] * 50)
    split = [replace(o, rater="x" if o.value else "y") for o in outcomes]
    wide = rules.win_rate_interval(split)
    assert wide is not None
    assert wide.high - wide.low > 0.9  # one person always says yes, the other no
    assert rules.win_rate_interval([replace(o, rater="x") for o in outcomes]) is None
    assert rules.win_rate_interval([replace(o, group="g") for o in outcomes]) is None


def test_no_labels_are_no_evidence() -> None:
    found = measured([], left=5)
    assert (found.labels, found.e_value, found.win_rate) == (0, 1.0, None)
    assert rules.label_trajectory([], settings=GatePolicySettings(), aim=AIM) == ()


def two_kinds(won: int, lost: int, *, raters: int = 5) -> list[rules.Outcome]:
    """Wins before losses, with a tie at either end; raters take turns."""
    return outcomes_of([0.5] + [1.0] * won + [0.0] * lost + [0.5], raters=raters)


def gaps_of(outcomes: list[rules.Outcome], gaps: list[float]) -> dict[str, tuple[float, float]]:
    return {o.prompt_id: (gap, 0.0) for o, gap in zip(outcomes, gaps, strict=True)}


def test_discrimination_is_how_often_a_won_pair_outscores_a_lost_one_equal_ones_half() -> None:
    outcomes = two_kinds(10, 10)
    # 9 wins over every loss, the last win ties 4 losses and is under 6: (90 + 2) / 100
    gaps = [9.0, *[2.0] * 9, 1.0, *[1.0] * 4, *[1.5] * 6, 9.0]
    found = rules.fresh_discrimination(outcomes, gaps_of(outcomes, gaps))
    assert found is not None
    assert found.estimate == pytest.approx(0.92)
    assert found.n == 5  # annotators, the fewer of the two kinds of cluster


def test_a_model_that_prefers_every_candidate_is_not_measured_by_how_many_won() -> None:
    """Agreement would be 90 % here, and 10 % with the sides turned; the order of gaps says nothing."""
    for won, lost in ((90, 10), (10, 90)):
        outcomes = two_kinds(won, lost)
        found = rules.fresh_discrimination(outcomes, gaps_of(outcomes, [1.0] * (won + lost + 2)))
        assert found is not None
        assert found.estimate == 0.5


def test_discrimination_at_any_time_pairs_wins_and_losses_in_their_order() -> None:
    outcomes = outcomes_of([1.0, 0.0, 0.5, 1.0, 0.0] * 10)
    gaps = [2.0, 1.0, 7.0, 0.0, 1.0] * 10  # first pair right, second wrong, and so on
    found = rules.fresh_discrimination_sequence(outcomes, gaps_of(outcomes, gaps))
    assert found is not None
    assert (found.estimate, found.n) == (0.5, 20)
    assert (found.low, found.high) == tuple(confidence_sequence([1.0, 0.0] * 10)[-1])


@pytest.mark.parametrize(("won", "lost", "raters"), [(9, 40, 5), (40, 9, 5), (40, 40, 1)])
def test_discrimination_on_a_handful_or_by_one_person_is_not_measured(
    won: int, lost: int, raters: int
) -> None:
    outcomes = two_kinds(won, lost, raters=raters)
    gaps = [float(o.value) for o in outcomes]
    assert rules.fresh_discrimination(outcomes, gaps_of(outcomes, gaps)) is None
    assert rules.fresh_discrimination(outcomes, {}) is None
    assert rules.fresh_discrimination_sequence(outcomes, {}) is None


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


def test_the_side_that_the_reward_model_prefers_is_clustered_by_annotator() -> None:
    outcomes = outcomes_of([1.0] * 18 + [0.0, 0.5])  # ten annotators
    scores = {outcome.prompt_id: (1.0, 0.0) for outcome in outcomes}
    scores[outcomes[0].prompt_id] = (0.3, 0.3)
    found = rules.fresh_side(outcomes, scores)
    assert found is not None
    assert found.estimate == pytest.approx(
        (17 + 0.5) / 19
    )  # 17 right, 1 equal, 1 wrong; a tie aside
    assert found.n == 10
    assert rules.fresh_side(outcomes[:9], scores) is None
    assert rules.fresh_side([replace(o, rater="x") for o in outcomes], scores) is None
