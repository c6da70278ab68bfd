"""Reads for the campaign page: how far the queue is, and who labelled how much in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Max, Q, Sum

from annotation.accounts.models import Rater

from .models import Campaign


@dataclass(frozen=True)
class QueueFigures:
    """Of one purpose: `pairs` in all, `open` with a free place, `leased`, answers given of those wanted."""

    purpose: str
    name: str
    pairs: int
    open: int
    leased: int
    judged: int
    wanted: int | None


@dataclass(frozen=True)
class RaterRow:
    name: str
    simulated: bool
    excluded: bool
    labels: int
    skipped: int
    last_at: Any


def queue_figures(*, campaign: Campaign) -> list[QueueFigures]:
    names = dict(campaign.comparisons.model._meta.get_field("purpose").flatchoices)
    rows = campaign.comparisons.values("purpose").annotate(
        pairs=Count("pk", filter=Q(wanted__gt=0)),  # nobody is asked about two equal texts
        open_pairs=Count("pk", filter=Q(open=True)),
        leases=Sum("leased"),
        answers=Sum("judged"),
        places=Sum("wanted"),
    )
    return [
        QueueFigures(
            purpose=row["purpose"],
            name=names[row["purpose"]],
            pairs=row["pairs"],
            open=row["open_pairs"],
            leased=row["leases"],
            judged=row["answers"],
            # a gold item is for everybody: no number of answers is "all"
            wanted=None if row["purpose"] == "gold" else row["places"],
        )
        for row in rows.order_by("purpose")
    ]


def rater_rows(*, campaign: Campaign, limit: int = 100) -> list[RaterRow]:
    """The raters with the most answers in the campaign; a person by name, others by pseudonym."""
    here = Q(assignments__comparison__campaign=campaign)
    rows = (
        Rater.objects.filter(here)
        .annotate(
            answered=Count("assignments", filter=here & Q(assignments__state="submitted")),
            skips=Count("assignments", filter=here & Q(assignments__state="skipped")),
            last=Max("assignments__submitted_at", filter=here),
        )
        .select_related("user")
        .order_by(F("answered").desc(), "pseudonym")[:limit]
    )
    return [
        RaterRow(
            name=str(rater.user or rater.pseudonym),
            simulated=rater.simulated,
            excluded=rater.excluded_at is not None,
            labels=rater.answered,
            skipped=rater.skips,
            last_at=rater.last,
        )
        for rater in rows
    ]
