"""Counts by campaign, for monitoring: cheap enough to be asked every few seconds."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum
from django.utils import timezone

from annotation.campaigns.models import Campaign, CampaignState
from annotation.contracts import CampaignGauge

from .counts import queue_sums
from .models import Assignment, AssignmentState, Judgment

RECENT = timedelta(hours=1)
SHOWN = (CampaignState.ACTIVE, CampaignState.PAUSED)


def campaign_gauges() -> list[CampaignGauge]:
    """Every campaign that is not a draft or closed, in order of its slug."""
    opened = _open()
    leased = _counts(Assignment.objects.filter(state=AssignmentState.LEASED))
    ran_out = Assignment.objects.filter(state=AssignmentState.EXPIRED)
    expired = _counts(ran_out.filter(lease_expires_at__isnull=False))  # the others were given back
    recent = _recent()
    nothing = {"labels": 0, "seconds": 0.0, "raters": 0}
    shown = Campaign.objects.filter(state__in=SHOWN)
    return [
        CampaignGauge(
            line_id=campaign.line,
            slug=campaign.slug,
            open=opened.get(campaign.pk, {}),
            leased=leased.get(campaign.pk, 0),
            expired=expired.get(campaign.pk, 0),
            recent_labels=recent.get(campaign.pk, nothing)["labels"],
            recent_seconds=recent.get(campaign.pk, nothing)["seconds"],
            recent_raters=recent.get(campaign.pk, nothing)["raters"],
        )
        for campaign in shown.order_by("slug")
    ]


def _open() -> dict[UUID, dict[str, int]]:
    found: dict[UUID, dict[str, int]] = defaultdict(dict)
    campaigns = Campaign.objects.filter(state__in=SHOWN).values("pk")
    for row in queue_sums(campaigns, "campaign", "purpose").filter(open_pairs__gt=0):
        found[row["campaign"]][row["purpose"]] = row["open_pairs"]
    return found


def _counts(assignments: Any) -> dict[UUID, int]:
    rows = assignments.values("comparison__campaign").annotate(count=Count("pk"))
    return {row["comparison__campaign"]: row["count"] for row in rows}


def _recent() -> dict[UUID, dict[str, Any]]:
    """Judgments of the last hour by people and simulations at work; imported votes took no time."""
    rows = Judgment.objects.filter(
        active=True,
        created_at__gte=timezone.now() - RECENT,
        assignment__lease_expires_at__isnull=False,
    ).values("assignment__comparison__campaign")
    counted = rows.annotate(
        labels=Count("pk"), time=Sum("seconds", default=0.0), raters=Count("rater", distinct=True)
    )
    return {
        row["assignment__comparison__campaign"]: {
            "labels": row["labels"],
            "seconds": row["time"],
            "raters": row["raters"],
        }
        for row in counted
    }
