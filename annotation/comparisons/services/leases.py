"""Hold a pair for a rater, let it go, keep the draft.

Locks are always taken in this order, so that no two requests wait for each other: the rater's
`RaterQueue`, then the `Comparison`, then its `Assignment`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.exclusions import assignment_left_out
from annotation.comparisons.models import Assignment, AssignmentState, Comparison, RaterQueue
from annotation.comparisons.records import LONGEST_TEXT, AnswerInvalid, NotYours
from annotation.comparisons.shares import gate_share_left
from annotation.contracts import AnnotationError
from web.clock import Now, database_now

LARGEST_DRAFT = 40_000


def lease_end(campaign: Campaign) -> datetime:
    return database_now() + timedelta(minutes=campaign.lease_minutes)


def rater_queue_locked(*, rater: Rater, campaign_id: UUID) -> RaterQueue:
    """The rater's row in this campaign, locked; the caller is in a transaction."""
    rows = RaterQueue.objects.select_for_update().filter(rater=rater, campaign=campaign_id)
    found = rows.first()
    if found is None:
        fresh = RaterQueue(rater=rater, campaign_id=campaign_id)
        RaterQueue.objects.bulk_create([fresh], ignore_conflicts=True)
        found = rows.get()
    return found


def assignment_locked(
    *, rater: Rater, assignment_id: UUID
) -> tuple[RaterQueue, Comparison, Assignment]:
    """Queue, comparison and assignment of this rater, locked in that order.

    Raises `NotYours` when the rater has no such assignment.
    """
    found = (
        Assignment.objects.filter(pk=assignment_id, rater=rater)
        .exclude(state=AssignmentState.SETTLED)
        .values_list("comparison_id", "comparison__campaign_id")
        .first()
    )
    if found is None:
        raise NotYours("You have no such pair.")
    comparison_id, campaign_id = found
    queue = rater_queue_locked(rater=rater, campaign_id=campaign_id)
    comparison = (
        Comparison.objects.select_for_update(of=("self",))
        .select_related("campaign")
        .get(pk=comparison_id)
    )
    rows = Assignment.objects.select_for_update(of=("self",))
    assignment = rows.annotate(for_nothing=assignment_left_out()).get(pk=assignment_id)
    assignment.left_out = assignment.for_nothing
    return queue, comparison, assignment


def draft_save(*, rater: Rater, assignment_id: UUID, draft: Mapping[str, Any]) -> datetime:
    """Keep the draft and, while the lease lives, extend it; returns when it was saved."""
    if len(json.dumps(draft)) > LARGEST_DRAFT:
        raise AnswerInvalid(f"The draft is too long: keep it under {LARGEST_DRAFT:,} characters.")
    own = Assignment.objects.filter(pk=assignment_id, rater=rater)
    own = own.exclude(state=AssignmentState.SETTLED)
    campaign = Campaign.objects.filter(comparisons__assignments__in=own).first()
    if campaign is None:
        raise NotYours("You have no such pair.")
    now = timezone.now()
    saved = own.exclude(state=AssignmentState.SKIPPED).update(
        draft=dict(draft), draft_saved_at=now, touched_at=now
    )
    own.filter(state=AssignmentState.LEASED).update(lease_expires_at=lease_end(campaign))
    if not saved:
        raise AnswerInvalid("This pair was skipped; there is no draft to keep.")
    return now


@transaction.atomic
def assignment_skip(*, rater: Rater, assignment_id: UUID, reason: str) -> None:
    """Give the pair up with a reason: it goes back to the queue and never returns to this rater."""
    if not reason.strip() or len(reason) > 300:
        raise AnswerInvalid("Say in at most 300 characters why you skip this pair.")
    _, comparison, assignment = assignment_locked(rater=rater, assignment_id=assignment_id)
    if assignment.state == AssignmentState.SUBMITTED:
        raise AnswerInvalid("You have answered this pair; undo the answer before you skip it.")
    if assignment.state == AssignmentState.LEASED:
        place_released(comparison)
    assignment.state = AssignmentState.SKIPPED
    assignment.skip_reason = reason.strip()
    assignment.touched_at, assignment.parked_at = timezone.now(), None
    assignment.save(update_fields=["state", "skip_reason", "touched_at", "parked_at"])


@transaction.atomic
def leases_release_expired(*, limit: int = 1000) -> int:
    """Free the places of leases that ran out, for a sweeper to call; returns how many."""
    return expired_released(limit=limit)


def expired_released(*, limit: int) -> int:
    """The same inside the caller's transaction."""
    expired = Assignment.objects.filter(state=AssignmentState.LEASED, lease_expires_at__lt=Now())
    return len(_places_freed(expired, limit=limit))


@transaction.atomic
def leases_give_back(*, rater: Rater, campaign: Campaign, assignment_ids: Collection[UUID]) -> None:
    """Free the places of pairs that the rater's page held ahead and never showed."""
    held = Assignment.objects.filter(
        pk__in=assignment_ids,
        rater=rater,
        comparison__campaign=campaign,
        state=AssignmentState.LEASED,
    )
    freed = _places_freed(held, limit=len(assignment_ids))
    # No lease ran out here: what monitoring counts as such has a time at which it did.
    Assignment.objects.filter(pk__in=freed).update(lease_expires_at=None)


@transaction.atomic
def lease_release(*, assignment: Assignment) -> None:
    """Take a pair from who holds it: its place is free, the draft is kept, a late answer finds room or is
    surplus. Raises `AnnotationError` where it is not held any more."""
    held = Assignment.objects.filter(pk=assignment.pk, state=AssignmentState.LEASED)
    freed = _places_freed(held, limit=1)
    if not freed:
        raise AnnotationError("Nobody holds this pair any more.")
    Assignment.objects.filter(pk__in=freed).update(lease_expires_at=None)


def _places_freed(live: QuerySet[Assignment, Assignment], *, limit: int) -> list[UUID]:
    """End leases; what others hold locked is left for the next call. Returns the assignments."""
    ordered = live.order_by("lease_expires_at")
    found = list(ordered.values_list("comparison_id", flat=True)[:limit])
    if not found:
        return []
    rows = Comparison.objects.select_for_update(skip_locked=True).filter(pk__in=found)
    locked = list(rows.order_by("pk").values_list("pk", flat=True))
    freed = dict(
        live.filter(comparison__in=locked)
        .select_for_update(skip_locked=True, of=("self",))
        .values_list("pk", "comparison_id")
    )
    Assignment.objects.filter(pk__in=freed).update(state=AssignmentState.EXPIRED)
    for comparison_id, places in Counter(freed.values()).items():
        Comparison.objects.filter(pk=comparison_id).update(leased=F("leased") - places)
    return list(freed)


def place_free(comparison: Comparison, assignment: Assignment) -> bool:
    """Whether an answer whose lease has run out finds room: in the pair, and in the rater's share."""
    room = comparison.judged + comparison.leased < comparison.wanted
    return room and gate_share_left(rater=assignment.rater, queue_id=assignment.gate_queue_id)


def place_released(comparison: Comparison) -> None:
    """One lease less; the caller holds the comparison's lock."""
    comparison.leased -= 1
    comparison.save(update_fields=["leased"])


def text_checked(name: str, text: str) -> str:
    """The text as PostgreSQL can hold it, or an error that names the field."""
    if len(text) > LONGEST_TEXT:
        raise AnswerInvalid(f"The {name} is too long: at most {LONGEST_TEXT:,} characters.")
    if "\x00" in text:
        raise AnswerInvalid(f"The {name} contains a NUL character; remove it.")
    return text
