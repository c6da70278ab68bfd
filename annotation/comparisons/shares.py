"""One rater's share of a round's gate pairs: what is held, answered or skipped counts, so that nobody fills
a gate alone and nobody chooses among its pairs by skipping."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)
from django.db.models.functions import Coalesce

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.contracts import GateShares

from .models import Assignment, AssignmentState, Comparison, GateQueue

WITHIN = Q(most_per_rater__isnull=True) | Q(most_per_rater__gt=F("had"))
SPENT = Q(most_per_rater__lte=F("had"))


def gate_queues_open(*, rater: Rater, campaign: Campaign) -> list[Any]:
    """The open gate queues of the campaign; `share_left` says whether the rater may have more of one."""
    rows = _counted(rater).filter(campaign=campaign, closed_at=None)
    return list(rows.annotate(share_left=ExpressionWrapper(WITHIN, BooleanField())))


def gate_share_left(*, rater: Rater, queue_id: int | None) -> bool:
    """Whether the rater may have one more pair of this gate queue; None is a pair of no gate."""
    return queue_id is None or _counted(rater).filter(WITHIN, pk=queue_id).exists()


def gate_share_spent(*, rater: Rater, campaign: Campaign) -> int | None:
    """The share that the rater has used up while pairs of that gate are still open; else None."""
    still_open = Comparison.objects.filter(round_id=OuterRef("round_id"), open=True)
    spent = _counted(rater).filter(SPENT, Exists(still_open), campaign=campaign, closed_at=None)
    return spent.values_list("most_per_rater", flat=True).first()


def gate_shares(*, round_id: UUID) -> GateShares:
    """How many people have used up their share of a round's gate pairs, and how often one was skipped."""
    queue = GateQueue.objects.filter(round_id=round_id).first()
    if queue is None:
        return GateShares(most_per_rater=None, spent=0, skipped=0)
    rows = _counting(Assignment.objects.filter(gate_queue=queue)).values("rater")
    skips = Count("pk", filter=Q(state=AssignmentState.SKIPPED))
    people = list(rows.annotate(had=Count("pk"), skips=skips).values_list("had", "skips"))
    most = queue.most_per_rater
    return GateShares(
        most_per_rater=most,
        spent=sum(most is not None and had >= most for had, _ in people),
        skipped=sum(skips for _, skips in people),
    )


def _counted(rater: Rater) -> QuerySet[GateQueue, GateQueue]:
    """Gate queues with `had`, how many of their pairs count as this rater's."""
    mine = _counting(Assignment.objects.filter(gate_queue=OuterRef("pk"), rater=rater))
    had = mine.values("gate_queue").annotate(n=Count("pk")).values("n")
    return GateQueue.objects.annotate(had=Coalesce(Subquery(had), 0))


def _counting(assignments: QuerySet[Assignment, Assignment]) -> QuerySet[Assignment, Assignment]:
    """A lease that ran out or was given back is nobody's."""
    return assignments.exclude(state=AssignmentState.EXPIRED)
