"""A rater comes back to a pair: a skip taken back, a pair put aside and opened again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.selectors import guidelines_current
from annotation.comparisons.models import Assignment, AssignmentState, Comparison
from annotation.comparisons.openness import fixed_why
from annotation.comparisons.records import AnswerFixed, AnswerInvalid

from .admission import admission_check
from .judging import judgment_undo
from .leases import assignment_locked, draft_save, lease_end, place_free

MOST_PARKED = 10


@transaction.atomic
def assignment_park(*, rater: Rater, assignment_id: UUID, draft: Mapping[str, Any]) -> None:
    """Put a pair aside with what was entered: it comes back when it is opened, and while its lease lives
    nobody else gets its place. Raises `AnswerInvalid` for an answered or skipped pair, or too many."""
    _, comparison, assignment = assignment_locked(rater=rater, assignment_id=assignment_id)
    if assignment.state not in (AssignmentState.LEASED, AssignmentState.EXPIRED):
        raise AnswerInvalid("Only a pair that is neither answered nor skipped can be parked.")
    if comparison.campaign.converses:
        raise AnswerInvalid(
            "In conversations nothing is parked: what you entered is kept as a draft, and the turn waits for you."
        )
    parked = parked_by(rater=rater, campaign_id=comparison.campaign_id)
    if assignment.parked_at is None and parked >= MOST_PARKED:
        raise AnswerInvalid(
            f"You have parked {MOST_PARKED} pairs: open one of them before you park another."
        )
    draft_save(rater=rater, assignment_id=assignment_id, draft=draft)
    Assignment.objects.filter(pk=assignment_id).update(parked_at=timezone.now())


def parked_by(*, rater: Rater, campaign_id: UUID) -> int:
    """How many pairs of the campaign the rater has put aside and still holds."""
    rows = Assignment.objects.filter(rater=rater, comparison__campaign=campaign_id)
    return rows.filter(state=AssignmentState.LEASED, parked_at__isnull=False).count()


@transaction.atomic
def assignment_undo(*, rater: Rater, assignment_id: UUID) -> None:
    """Take back what the rater did with a pair: the answer, or the skip while a place is free
    and the queue would hand the pair out."""
    _, comparison, assignment = assignment_locked(rater=rater, assignment_id=assignment_id)
    if assignment.state != AssignmentState.SKIPPED:
        judgment_undo(rater=rater, assignment_id=assignment_id)
        return
    _still_open(comparison, assignment)
    # The skip has counted for the rater's share of a gate all along: only the pair must have room.
    if comparison.judged + comparison.leased >= comparison.wanted:
        raise AnswerFixed("Somebody else has this pair by now, so that the skip stays.")
    assignment.skip_reason = ""
    _leased_again(comparison, assignment)


@transaction.atomic
def assignment_reopen(*, rater: Rater, assignment_id: UUID) -> bool:
    """Make one of the rater's pairs ready to be worked on; whether it had been parked.

    An answered one stays answered until it is revised. Raises `AnswerFixed` where it is too late,
    `QueueClosed`, `OptInMissing` or `GuidelinesUnread` where the queue hands out nothing.
    """
    _, comparison, assignment = assignment_locked(rater=rater, assignment_id=assignment_id)
    _still_open(comparison, assignment)
    parked = assignment.parked_at is not None
    if assignment.state == AssignmentState.SKIPPED:
        assignment_undo(rater=rater, assignment_id=assignment_id)
    elif assignment.state != AssignmentState.SUBMITTED:
        if assignment.state == AssignmentState.EXPIRED and not place_free(comparison, assignment):
            raise AnswerFixed(
                "Its time ran out and others have answered this pair meanwhile, so that it is closed."
            )
        _leased_again(comparison, assignment)
    return parked


def _still_open(comparison: Comparison, assignment: Assignment) -> None:
    assignment.comparison = comparison  # the locked one
    if why := fixed_why(assignment):
        raise AnswerFixed(why)


def _leased_again(comparison: Comparison, assignment: Assignment) -> None:
    """The caller holds both locks and has seen that a place is free. Raises as the queue does where it
    would hand nothing out: a pair comes back on the terms on which one is given."""
    guidelines = guidelines_current(campaign=comparison.campaign)
    admission_check(assignment.rater, comparison.campaign, guidelines)
    if assignment.state != AssignmentState.LEASED:
        comparison.leased += 1
        comparison.save(update_fields=["leased"])
    assignment.state = AssignmentState.LEASED
    assignment.lease_expires_at = lease_end(comparison.campaign)
    assignment.guideline_version = guidelines
    assignment.parked_at = None
    assignment.touched_at = timezone.now()
    assignment.save()
