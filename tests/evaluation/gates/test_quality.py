"""Agreement of annotators: who is counted, and when there is too little to say."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from annotation import facade as annotation
from annotation.comparisons.models import Assignment
from annotation.comparisons.services import gold_item_of_pair
from annotation.contracts import LabelSummary, OverlapVote, RankingCount, RaterSummary
from evaluation.contracts import GatePolicySettings, RankedLabels, RaterLabels, RoundLabels
from evaluation.gates.quality import gold_question_accuracy, label_quality
from evaluation.policy.label_checks import check_integrity
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)
from tests.evaluation.policy.evidence import GOOD

LEARNED = RoundLabels(training=400, fresh=120, gate=30, ties=9)


def votes(*rows: tuple[int, int]) -> list[OverlapVote]:
    """One comparison a row, judged by the raters a and b."""
    found = []
    for first, second in rows:
        comparison = uuid.uuid4()
        for rater, value in (("a", first), ("b", second)):
            found.append(OverlapVote(comparison, str(comparison), rater, value))
    return found


def rater(name: str, **fields) -> RaterSummary:
    known = {
        "rater": name,
        "simulated": False,
        "labels": 100,
        "ties": 0,
        "both_bad": 0,
        "left_share": None,
        "median_seconds": None,
        "gold_labels": 0,
        "gold_accuracy": None,
    }
    return RaterSummary(**{**known, **fields})


def summary(*raters: RaterSummary) -> LabelSummary:
    return LabelSummary(
        raters=raters,
        labels=sum(r.labels for r in raters),
        gate_labels=0,
        ties=0,
        both_bad=0,
        median_seconds=None,
        agreement=None,
    )


def test_agreement_is_on_the_side_preferred_whatever_the_strength():
    people = summary(rater("a"), rater("c"))
    found = label_quality(LEARNED, votes=votes(*[(1, 3)] * 15, *[(2, 6)] * 10), summary=people)
    assert found.agreement is not None
    assert found.agreement.estimate == pytest.approx(15 / 25)
    assert found.human_ceiling is not None
    assert found.human_ceiling.estimate == pytest.approx(15 / 25)
    of_a, of_c = (each.agreement for each in found.raters)
    assert of_a is not None
    assert of_a.estimate == pytest.approx(15 / 25)
    assert of_c is None  # judged nothing that another one judged


def test_too_few_shared_pairs_say_nothing():
    people = summary(rater("a", labels=7, median_seconds=2.5))
    found = label_quality(LEARNED, votes=votes(*[(1, 1)] * 5), summary=people)
    assert (found.agreement, found.krippendorff_alpha, found.human_ceiling) == (None, None, None)
    assert found.raters == (RaterLabels("a", 7, None, None, 2.5),)


def test_who_only_ranked_is_in_the_table_with_no_label_of_pairs():
    people = summary(rater("a", labels=0, rankings=4))
    assert label_quality(LEARNED, votes=[], summary=people).raters == (
        RaterLabels("a", 0, rankings=4),
    )


def test_what_the_round_learned_from_is_kept():
    found = label_quality(LEARNED, votes=[], summary=replace(summary(), both_bad=3))
    assert found == replace(LEARNED, both_bad=3)


def test_a_tie_is_an_answer_of_its_own_for_agreement_and_none_for_the_ceiling():
    found = label_quality(LEARNED, votes=votes(*[(4, 1)] * 20, *[(1, 1)] * 20), summary=summary())
    assert found.agreement is not None
    assert found.agreement.estimate == pytest.approx(0.5)
    assert found.human_ceiling is not None
    assert found.human_ceiling.estimate == 1.0


def test_sides_are_weighed_by_the_decided_labels_of_each_rater():
    people = (
        rater("a", labels=110, ties=10, left_share=0.6),
        rater("b", labels=300, ties=0, left_share=0.5),
        rater("c", labels=5, ties=0, left_share=1.0),
    )
    found = label_quality(LEARNED, votes=[], summary=summary(*people))
    assert found.position_bias is not None
    assert found.position_bias.estimate == pytest.approx((60 + 150 + 5) / 405)
    assert [each.position_bias is not None for each in found.raters] == [True, True, False]


def test_gold_questions_count_over_all_raters_and_only_in_number():
    few = summary(rater("a", gold_labels=19, gold_accuracy=1.0))
    assert gold_question_accuracy(few) is None
    enough = summary(
        rater("a", gold_labels=30, gold_accuracy=0.9), rater("b", gold_labels=10, gold_accuracy=0.5)
    )
    found = gold_question_accuracy(enough)
    assert found is not None
    assert found.estimate == pytest.approx((27 + 5) / 40)


@pytest.mark.django_db
def test_the_integrity_check_reads_the_gold_items_that_people_answered():
    campaign = a_campaign(gold_share=1.0)
    for pair in some_pairs(campaign, 24, split="train"):
        gold_item_of_pair(comparison=pair, gold_value=1)
    annotator = an_annotator(campaign)
    for n in range(24):
        held = Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)
        assert held.comparison.purpose == "gold"
        right = 2 if held.shown_order == [1, 2] else 6
        submit(annotator, held.pk, right if n < 6 else 8 - right)
    label_next(annotator, campaign)
    found = gold_question_accuracy(annotation.label_summary(line_id=campaign.line))
    assert found is not None
    assert found.estimate == pytest.approx(6 / 24)
    measured = replace(GOOD, gold_question_accuracy=found)
    finding = check_integrity(measured, GatePolicySettings(), {"gold_accuracy": 0.7})
    assert finding.status == "FAIL"
    assert "answer gold questions right in 25%" in finding.sentence


def test_rankings_are_kept_with_the_pairs_that_they_are():
    told = replace(summary(), rankings=(RankingCount(answers=4, rankings=12, raters=3),))
    found = label_quality(LEARNED, votes=[], summary=told)
    assert found.rankings == (RankedLabels(4, 12, 3),)
    assert found.rankings[0].pairs == 72
    assert RoundLabels.from_json(found.to_json()) == found
    stored = LEARNED.to_json()
    del stored["rankings"]
    assert RoundLabels.from_json(stored) == LEARNED
