"""Agreement and habits, against figures worked out by hand."""

from __future__ import annotations

import uuid

import pytest

from annotation import facade
from annotation.comparisons.models import Comparison
from annotation.comparisons.services import gold_item_create
from annotation.comparisons.services.queue import sides_drawn
from annotation.contracts import OverlapVote
from annotation.quality.selectors import agreement_of
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)


def votes(*values):
    comparison = uuid.uuid4()
    return [OverlapVote(comparison, "g", f"r{n}", value) for n, value in enumerate(values)]


def test_agreement_counts_pairs_of_votes_by_direction():
    # 1 and 3 point the same way, 6 the other: one of three pairs agrees. The tie stands aside.
    found = agreement_of(votes(1, 3, 6, 4))
    assert (found.agreeing, found.pairs) == (1, 3)
    # With ties as an answer of their own: one of six.
    found = agreement_of(votes(1, 3, 6, 4), with_ties=True)
    assert (found.agreeing, found.pairs) == (1, 6)


def test_agreement_adds_up_over_comparisons():
    found = agreement_of([*votes(2, 2), *votes(2, 6), *votes(7, 5, 6)])
    assert (found.agreeing, found.pairs) == (1 + 0 + 3, 1 + 1 + 3)
    assert found.share == 0.8


def test_without_overlap_there_is_no_agreement_to_speak_of():
    assert agreement_of(votes(1)).share is None


@pytest.mark.django_db
def test_the_left_share_is_of_decided_answers_as_shown():
    campaign = a_campaign()
    some_pairs(campaign, 4)
    annotator = an_annotator(campaign)
    for value, seconds in ((1, 2.0), (2, 4.0), (6, 9.0), (4, 100.0)):
        label_next(annotator, campaign, value, seconds=seconds, both_bad=value == 4)
    summary = facade.label_summary(line_id=campaign.line)
    (rater,) = summary.raters
    assert rater.left_share == pytest.approx(2 / 3)
    assert (rater.labels, rater.ties, rater.both_bad) == (4, 1, 1)
    assert rater.median_seconds == 6.5
    assert (summary.labels, summary.gate_labels) == (4, 0)


@pytest.mark.django_db
def test_gold_accuracy_is_the_share_answered_in_the_known_direction():
    campaign = a_campaign(gold_share=1.0)
    source = some_pairs(campaign, 4, split="train")[0]
    annotator = an_annotator(campaign)
    for n in range(4):
        gold_item_create(
            campaign=campaign,
            prompt=source.prompt,
            texts=(f"right {n}", f"wrong {n}"),
            gold_value=2,
        )
    for n in range(4):
        held = lease(annotator, campaign)
        comparison = Comparison.objects.get(assignments=held.assignment_id)
        assert comparison.purpose == "gold"
        right = 1 if sides_drawn(comparison, annotator) == [1, 2] else 7
        submit(annotator, held.assignment_id, 8 - right if n == 0 else right)
    label_next(annotator, campaign)
    (rater,) = facade.label_summary(line_id=campaign.line).raters
    assert (rater.gold_labels, rater.gold_accuracy, rater.labels) == (4, 0.75, 1)
