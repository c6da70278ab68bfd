"""The kept counts of campaigns: read, compared with the rows that they are counted from, and counted anew."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Count, Q, QuerySet, Sum
from psycopg.errors import LockNotAvailable

from annotation.contracts import AnnotationError

from .models import Assignment, AssignmentState, Comparison, QueueCount, RaterCount

Row = dict[str, Any]
# Below PostgreSQL's deadlock_timeout of one second, after which it would end one of the two.
PATIENCE_SECONDS = 0.4


def queue_sums(campaigns: Iterable[UUID] | QuerySet[Any], *keys: str) -> QuerySet[Any, Row]:
    """The kept sums over the pairs of these campaigns, by `keys` ("campaign", "purpose")."""
    rows = QueueCount.objects.filter(campaign__in=campaigns).values(*keys).order_by()
    sums: QuerySet[Any, Row] = rows.annotate(
        pairs=Sum("asked"),
        open_pairs=Sum("open"),
        leases=Sum("leased"),
        answers=Sum("judged"),
        places=Sum("wanted"),
    )
    return sums


def rater_sums(campaigns: Iterable[UUID] | QuerySet[Any], *keys: str) -> QuerySet[Any, Row]:
    """The kept sums over the assignments of these campaigns' raters, of those who were given a pair."""
    rows = RaterCount.objects.filter(campaign__in=campaigns).values(*keys).order_by()
    sums = rows.annotate(all=Sum("given"), answered=Sum("submitted"), skips=Sum("skipped"))
    given: QuerySet[Any, Row] = sums.filter(all__gt=0)
    return given


def rater_numbers(campaigns: Collection[UUID]) -> dict[UUID, int]:
    """Campaign -> how many people were given a pair of it; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT campaign_id, count(*) FROM (
                SELECT campaign_id FROM comparisons_ratercount WHERE campaign_id = ANY(%s)
                GROUP BY campaign_id, rater_id HAVING sum(given) > 0
            ) AS given GROUP BY campaign_id
            """,
            [list(campaigns)],
        )
        return dict.fromkeys(campaigns, 0) | dict(cursor.fetchall())


def counts_wrong() -> set[UUID]:
    """Campaigns whose kept counts are not what their rows come to. Reads every pair and assignment."""
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:  # all four reads of one moment, while people go on labelling
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        queue = _differing(_queue_kept(), _queue_counted())
        return queue | _differing(_rater_kept(), _rater_counted())


def counts_mend(*, tries: int = 120) -> None:
    """Count all of it anew. Writers of pairs and assignments wait meanwhile; readers do not.

    Raises `AnnotationError` where in none of the `tries` nobody else was writing.
    """
    for _ in range(tries):
        try:
            with transaction.atomic():
                _writers_kept_out()
                _counted_anew()
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            time.sleep(PATIENCE_SECONDS)
        else:
            return
    raise AnnotationError(
        "Pairs or answers are being written all the time, perhaps by an import; try again when it has ended."
    )


def _writers_kept_out() -> None:
    """A writer may hold one table and want the other: give way before PostgreSQL looks for deadlocks."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{int(1000 * PATIENCE_SECONDS)}ms'")
        cursor.execute(
            "LOCK TABLE comparisons_assignment, comparisons_comparison IN SHARE ROW EXCLUSIVE MODE"
        )
        cursor.execute("SET LOCAL lock_timeout = DEFAULT")


def _counted_anew() -> None:
    QueueCount.objects.all().delete()
    RaterCount.objects.all().delete()
    names = ("asked", "open", "leased", "judged", "wanted")
    QueueCount.objects.bulk_create(
        QueueCount(campaign_id=row[0], purpose=row[1], **dict(zip(names, row[2:], strict=True)))
        for row in _queue_counted()
    )
    RaterCount.objects.bulk_create(
        (
            RaterCount(
                campaign_id=row[0], rater_id=row[1], given=row[2], submitted=row[3], skipped=row[4]
            )
            for row in _rater_counted()
        ),
        batch_size=5000,
    )


def _differing(kept: set[tuple[Any, ...]], counted: set[tuple[Any, ...]]) -> set[UUID]:
    return {row[0] for row in kept ^ counted if any(row[2:])}


def _queue_kept() -> set[tuple[Any, ...]]:
    rows = QueueCount.objects.values_list("campaign", "purpose").order_by()
    return set(
        rows.annotate(Sum("asked"), Sum("open"), Sum("leased"), Sum("judged"), Sum("wanted"))
    )


def _queue_counted() -> set[tuple[Any, ...]]:
    rows = Comparison.objects.values_list("campaign", "purpose").order_by()
    return set(
        rows.annotate(
            asked=Count("pk", filter=Q(wanted__gt=0)),
            opened=Count("pk", filter=Q(open=True)),
            leases=Sum("leased"),
            answers=Sum("judged"),
            places=Sum("wanted"),
        )
    )


def _rater_kept() -> set[tuple[Any, ...]]:
    rows = RaterCount.objects.values_list("campaign", "rater").order_by()
    return set(rows.annotate(Sum("given"), Sum("submitted"), Sum("skipped")))


def _rater_counted() -> set[tuple[Any, ...]]:
    rows = Assignment.objects.values_list("comparison__campaign", "rater").order_by()
    return set(
        rows.annotate(
            given=Count("pk"),
            submitted=Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
            skipped=Count("pk", filter=Q(state=AssignmentState.SKIPPED)),
        )
    )
