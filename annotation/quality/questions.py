"""Threads about pairs: what a person asked, what a lead answered, and which wait."""

from __future__ import annotations

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, ThreadMessage


def threads(*, campaign: Campaign) -> QuerySet[Assignment, Assignment]:
    """Assignments that somebody asked about, with `last_at` and `says` of the last message and whether it
    `waits` for a lead; those that do first, the longest waiting before."""
    last = ThreadMessage.objects.filter(assignment=OuterRef("pk")).order_by("-at", "-id")
    rows = Assignment.objects.filter(comparison__campaign=campaign, thread__isnull=False)
    found = rows.annotate(
        last_at=Max("thread__at"),
        waits=Subquery(last.values("by_rater")[:1]),
        says=Subquery(last.values("text")[:1]),
    ).select_related("rater__user", "comparison__prompt")
    return found.order_by("-waits", "last_at", "pk")


def threads_waiting(*, campaign: Campaign) -> QuerySet[Assignment, Assignment]:
    return threads(campaign=campaign).filter(Q(waits=True))
