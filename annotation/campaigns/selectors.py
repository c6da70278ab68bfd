"""Reads: a line's campaigns, what is asked in them, and which guidelines hold now."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from annotation.accounts.models import Rater
from annotation.contracts import AnnotationError, CampaignSummary
from web.records import record_of

from .models import Campaign, CampaignState, GuidelineVersion


def campaigns_of(*, line_id: UUID) -> QuerySet[Campaign, Campaign]:
    return Campaign.objects.filter(line=line_id)


def campaign_for_pairs(*, line_id: UUID, campaign_id: UUID | None = None) -> Campaign:
    """Where new pairs of a line go: the campaign named, else the newest one that is not closed."""
    rows = campaigns_of(line_id=line_id)
    if campaign_id is not None:
        found = rows.filter(pk=campaign_id).first()
        if found is None:
            raise AnnotationError(f"The line {line_id} has no campaign {campaign_id}.")
        return found
    for state in (CampaignState.ACTIVE, CampaignState.PAUSED, CampaignState.DRAFT):
        found = rows.filter(state=state).order_by("-created_at").first()
        if found is not None:
            return found
    raise AnnotationError(
        f"The line {line_id} has no campaign that takes pairs: make one, or open a closed one."
    )


def guidelines_current(*, campaign: Campaign) -> GuidelineVersion | None:
    return campaign.guidelines.order_by("-number").first()


def guidelines_unread(*, rater: Rater, campaign: Campaign) -> GuidelineVersion | None:
    """The version that this rater must acknowledge before the next item, if any."""
    current = guidelines_current(campaign=campaign)
    if current is None or current.acknowledgements.filter(rater=rater).exists():
        return None
    return current


def campaign_summaries(*, line_id: UUID) -> list[CampaignSummary]:
    rows = (
        campaigns_of(line_id=line_id)
        .annotate(
            open_count=Count("comparisons", filter=Q(comparisons__open=True)),
            leased_count=Coalesce(Sum("comparisons__leased"), 0),
            label_count=Coalesce(Sum("comparisons__judged"), 0),
        )
        .order_by("-created_at")  # a grouped query does not follow the model's own order
    )
    return [
        record_of(
            CampaignSummary,
            row,
            open=row.open_count,
            leased=row.leased_count,
            labels=row.label_count,
            raters=_rater_count(row),
            guidelines=row.guidelines.order_by("-number").values_list("number", flat=True).first(),
        )
        for row in rows
    ]


def _rater_count(campaign: Campaign) -> int:
    rows = Rater.objects.filter(assignments__comparison__campaign=campaign)
    return rows.distinct().count()
