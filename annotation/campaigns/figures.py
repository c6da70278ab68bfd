"""Reads for the campaign page: how far the queue is, and who labelled how much in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, Subquery

from annotation.accounts.models import Rater
from annotation.comparisons.counts import queue_sums, rater_sums
from annotation.comparisons.models import Assignment

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
    rows = queue_sums([campaign.pk], "purpose")
    return [  # no pairs: those of two equal texts, about which nobody is asked
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


def rater_rows(
    *, campaign: Campaign, left_out: Collection[UUID], limit: int = 100
) -> list[RaterRow]:
    """The raters with the most answers in the campaign; a person by name, others by pseudonym.

    `left_out` are those whose answers do not count.
    """
    most = rater_sums([campaign.pk], "rater").order_by("-answered", "rater__pseudonym")[:limit]
    sums = {row["rater"]: row for row in most}
    answered = Assignment.objects.filter(
        rater=OuterRef("pk"), comparison__campaign=campaign, submitted_at__isnull=False
    ).order_by("-submitted_at")
    found = (
        Rater.objects.select_related("user")
        .annotate(last=Subquery(answered.values("submitted_at")[:1]))
        .in_bulk(sums)
    )
    return [
        RaterRow(
            name=str(rater.user or rater.pseudonym),
            simulated=rater.simulated,
            excluded=rater.pk in left_out,
            labels=row["answered"],
            skipped=row["skips"],
            last_at=rater.last,
        )
        for pk, row in sums.items()
        for rater in [found[pk]]
    ]


def span_keys_used(*, campaign: Campaign) -> frozenset[str]:
    """The keys of the labels with which parts of answers were marked, in judgments of any revision."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT span ->> 'label'
            FROM comparisons_comparison pair
            JOIN comparisons_assignment given ON given.comparison_id = pair.id
            JOIN comparisons_judgment judgment ON judgment.assignment_id = given.id
            CROSS JOIN jsonb_array_elements(judgment.spans) span
            WHERE pair.campaign_id = %s
            """,
            [campaign.pk],
        )
        return frozenset(key for (key,) in cursor.fetchall())
