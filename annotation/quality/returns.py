"""Answers that came back: what waits for a person, with the pair as they saw it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from annotation.accounts.models import Rater
from annotation.comparisons.models import AnswerReturn, Assignment, AssignmentState


def returns_waiting(*, rater: Rater) -> QuerySet[AnswerReturn, AnswerReturn]:
    """The person's answers that came back and were not given again, oldest first."""
    rows = AnswerReturn.objects.filter(
        judgment__rater=rater,
        judgment__active=True,
        judgment__assignment__state=AssignmentState.SUBMITTED,
        judgment__assignment__comparison__closed_at__isnull=True,
    )
    return rows.select_related("judgment__assignment__comparison__campaign").order_by("sent_at")


def leases_live(*, campaign_id: UUID) -> QuerySet[Assignment, Assignment]:
    """The pairs of a campaign that people hold, longest first."""
    rows = Assignment.objects.filter(comparison__campaign=campaign_id, state=AssignmentState.LEASED)
    return rows.select_related("rater__user", "comparison")
