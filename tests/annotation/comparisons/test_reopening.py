"""Coming back to a pair: a skip taken back, a pair parked and opened, and when it is too late."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.campaigns.services import guidelines_acknowledge, guidelines_publish
from annotation.comparisons.models import Assignment, Comparison, Judgment
from annotation.comparisons.records import (
    AnswerFixed,
    AnswerInvalid,
    GuidelinesUnread,
    NotYours,
    QueueClosed,
)
from annotation.comparisons.selectors import comparison_for, last_settled
from annotation.comparisons.services import (
    assignment_park,
    assignment_reopen,
    assignment_skip,
    assignment_undo,
    gate_queue_close,
    gold_item_of_pair,
    leases_release_expired,
    parked_by,
    queue_lease_next,
)
from annotation.quality.services import exclusion_drawn, exclusion_make
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)

pytestmark = pytest.mark.django_db
DRAFT = {"values": {"overall": 5}, "rationale": "half a th"}


@pytest.fixture
def campaign():
    made = a_campaign()
    some_pairs(made, 3)
    return made


def skipped(rater, campaign) -> uuid.UUID:
    assignment_id = lease(rater, campaign).assignment_id
    assignment_skip(rater=rater, assignment_id=assignment_id, reason="cannot_judge")
    return assignment_id


def places(assignment_id: uuid.UUID) -> tuple[int, int]:
    pair = Comparison.objects.get(assignments=assignment_id)
    return pair.judged, pair.leased


def run_out(assignment_id: uuid.UUID) -> None:
    past = timezone.now() - timedelta(hours=1)
    Assignment.objects.filter(pk=assignment_id).update(lease_expires_at=past)
    assert leases_release_expired() == 1


def test_a_skip_is_taken_back_and_the_pair_is_the_rater_s_again(campaign, annotator):
    label_next(annotator, campaign)
    passed = skipped(annotator, campaign)
    assert places(passed) == (0, 0)
    assert last_settled(rater=annotator, campaign=campaign, skips=True) == passed
    assert last_settled(rater=annotator, campaign=campaign) != passed
    assignment_undo(rater=annotator, assignment_id=passed)
    assert places(passed) == (0, 1)
    assert Assignment.objects.get(pk=passed).skip_reason == ""
    assert Judgment.objects.filter(active=True).count() == 1  # the answer before it stays
    assert not submit(annotator, passed).surplus


def test_a_skip_stays_when_somebody_else_has_the_pair_by_now(campaign, annotator):
    passed = skipped(annotator, campaign)
    other = an_annotator(campaign)
    while (held := queue_lease_next(rater=other, campaign=campaign)) is not None:
        submit(other, held.assignment_id)
    with pytest.raises(AnswerFixed, match="Somebody else has this pair"):
        assignment_undo(rater=annotator, assignment_id=passed)
    assert Assignment.objects.get(pk=passed).state == "skipped"


def test_nothing_is_opened_once_a_decision_rests_on_it():
    campaign, round_id = a_campaign(), uuid.uuid4()
    some_pairs(campaign, 3, purpose="gate", round_id=round_id)
    rater = an_annotator(campaign)
    answered = label_next(rater, campaign).assignment_id
    passed, held = skipped(rater, campaign), lease(rater, campaign).assignment_id
    gate_queue_close(round_id=round_id)
    for assignment_id in (answered, passed, held):
        with pytest.raises(AnswerFixed, match="decision rests"):
            assignment_reopen(rater=rater, assignment_id=assignment_id)
    with pytest.raises(AnswerFixed, match="decision rests"):
        assignment_undo(rater=rater, assignment_id=passed)


def test_a_parked_pair_is_not_given_out_until_it_is_opened_with_its_draft(campaign, annotator):
    first = lease(annotator, campaign).assignment_id
    assignment_park(rater=annotator, assignment_id=first, draft=DRAFT)
    assert parked_by(rater=annotator, campaign_id=campaign.pk) == 1
    second = lease(annotator, campaign).assignment_id
    assert second != first
    other = an_annotator(campaign)
    assert lease(other, campaign).assignment_id != first
    assert places(first) == (0, 1)  # its place is kept while the lease lives
    assert assignment_reopen(rater=annotator, assignment_id=first)
    assert comparison_for(rater=annotator, assignment_id=first).draft == DRAFT
    assert parked_by(rater=annotator, campaign_id=campaign.pk) == 0
    assert not assignment_reopen(rater=annotator, assignment_id=first)


def test_a_parked_pair_whose_time_ran_out_is_opened_while_a_place_is_free(campaign, annotator):
    first = lease(annotator, campaign).assignment_id
    assignment_park(rater=annotator, assignment_id=first, draft=DRAFT)
    run_out(first)
    assignment_reopen(rater=annotator, assignment_id=first)
    assert places(first) == (0, 1)
    assignment_park(rater=annotator, assignment_id=first, draft=DRAFT)
    run_out(first)
    other = an_annotator(campaign)
    while (held := queue_lease_next(rater=other, campaign=campaign)) is not None:
        submit(other, held.assignment_id)
    with pytest.raises(AnswerFixed, match="others have answered"):
        assignment_reopen(rater=annotator, assignment_id=first)
    assert Assignment.objects.get(pk=first).draft == DRAFT


def test_only_so_many_pairs_are_parked_and_no_answered_one(annotator, campaign):
    some_pairs(campaign, 12)
    for _ in range(10):
        assignment_park(
            rater=annotator, assignment_id=lease(annotator, campaign).assignment_id, draft={}
        )
    one_more = lease(annotator, campaign).assignment_id
    with pytest.raises(AnswerInvalid, match="parked 10 pairs"):
        assignment_park(rater=annotator, assignment_id=one_more, draft={})
    submit(annotator, one_more)
    with pytest.raises(AnswerInvalid, match="neither answered nor skipped"):
        assignment_park(rater=annotator, assignment_id=one_more, draft={})


def test_nobody_opens_parks_or_takes_back_for_somebody_else(campaign, annotator):
    passed, other = skipped(annotator, campaign), an_annotator(campaign)
    for act in (assignment_undo, assignment_reopen):
        with pytest.raises(NotYours):
            act(rater=other, assignment_id=passed)
    with pytest.raises(NotYours):
        assignment_park(rater=other, assignment_id=passed, draft={})


def left_out(campaign, rater) -> None:
    drawn = exclusion_drawn(campaign=campaign, rater=rater)
    exclusion_make(exclusion=drawn, reason="Careless.", actor=rater.user)


def paused(campaign, rater) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state="paused")


def a_test_asked(campaign, rater) -> None:
    (known,) = some_pairs(campaign, 1)
    gold_item_of_pair(comparison=known, gold_value=1)
    Campaign.objects.filter(pk=campaign.pk).update(qualification_items=1)


def guidelines_new(campaign, rater) -> None:
    guidelines_publish(campaign=campaign, text="Be kind.")


@pytest.mark.parametrize(
    ("happens", "refusal"),
    [
        (paused, "is paused"),
        (left_out, "lead has paused your work"),
        (a_test_asked, "Pass the qualification test"),
        (guidelines_new, "acknowledge version 1"),
    ],
)
def test_no_pair_comes_back_to_whom_the_queue_would_give_none(
    campaign, annotator, happens, refusal
):
    passed, aside = skipped(annotator, campaign), lease(annotator, campaign).assignment_id
    assignment_park(rater=annotator, assignment_id=aside, draft=DRAFT)
    run_out(aside)
    happens(campaign, annotator)
    for act, pair in (
        (assignment_undo, passed),
        (assignment_reopen, passed),
        (assignment_reopen, aside),
    ):
        with pytest.raises((QueueClosed, GuidelinesUnread), match=refusal):
            act(rater=annotator, assignment_id=pair)
        assert places(pair) == (0, 0)
    kept = Assignment.objects.get(pk=aside)
    assert (kept.state, kept.draft) == ("expired", DRAFT)


def test_a_pair_comes_back_under_the_guidelines_that_are_in_force(campaign, annotator):
    passed = skipped(annotator, campaign)
    assert Assignment.objects.get(pk=passed).guideline_version is None
    version = guidelines_publish(campaign=campaign, text="Be kind.")
    guidelines_acknowledge(rater=annotator, version=version)
    assignment_undo(rater=annotator, assignment_id=passed)
    assert Assignment.objects.get(pk=passed).guideline_version == version
