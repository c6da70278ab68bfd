"""One vote of each user in a period, counted once and then left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils import timezone

from .models import Signal, SignalVote


@dataclass(frozen=True)
class UserVote:
    """Whether most of a user's thumbs were down, and when that was counted."""

    down: bool
    counted_at: datetime


@transaction.atomic
def signal_votes_count(
    *,
    line_id: UUID,
    version_id: UUID,
    period_id: UUID,
    since: datetime,
    until: datetime,
    whose: Callable[[str], bool] = lambda user: True,
) -> int:
    """Count the votes of users who have none in this period, by their thumbs on this version from `since`
    on and before the last midnight (UTC) or `until`; how many were found.

    `whose` says by the hash of a user whether their vote counts.

    Whole days, so that a thumb that its user takes back at once is not counted. Of two workers at the same
    time one counts.
    """
    votes = SignalVote.objects.filter(period_id=period_id)
    last = votes.aggregate(last=Max("counted_at"))["last"]
    now = timezone.now()
    since = max(since, _midnight(last)) if last else since
    until = min(until, _midnight(now))
    if until <= since:
        return 0
    given = Signal.objects.filter(
        line_id=line_id, version_id=version_id, given_at__gte=since, given_at__lt=until
    )
    given = given.exclude(thumb="").exclude(user="").exclude(user__in=votes.values("user"))
    by_user = given.values("user").annotate(n=Count("id"), bad=Count("id", filter=Q(thumb="down")))
    rows = [
        SignalVote(
            period_id=period_id, user=row["user"], down=2 * row["bad"] > row["n"], counted_at=now
        )
        for row in by_user
        if whose(row["user"])
    ]
    return len(SignalVote.objects.bulk_create(rows, ignore_conflicts=True))


def signal_votes(period_id: UUID) -> list[UserVote]:
    """All votes of a period in the order in which they were counted; within a day by the hash of the user,
    which does not depend on the vote."""
    rows = SignalVote.objects.filter(period_id=period_id).order_by("counted_at", "user")
    return [UserVote(*row) for row in rows.values_list("down", "counted_at")]


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
