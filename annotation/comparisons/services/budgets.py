"""The answers that a campaign's budget counts, and when they are all in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from annotation.campaigns.events import FINISHED, campaign_tell
from annotation.campaigns.models import Campaign, CampaignState
from annotation.comparisons.models import RaterQueue


def budget_answers(campaigns: Iterable[UUID] | QuerySet[Any]) -> dict[UUID, int]:
    """Campaign -> the answers given in it that its budget counts; none where nobody was given a pair."""
    queues = RaterQueue.objects.filter(campaign__in=campaigns).values_list("campaign")
    return dict(queues.annotate(Sum("labels")))


def budgets_tell() -> None:
    """Tell of every open campaign whose budget is used up; of the same budget it counts once."""
    budgeted = Campaign.objects.filter(state=CampaignState.ACTIVE, label_budget__isnull=False)
    answers = budget_answers(budgeted)
    for campaign in budgeted:
        if answers.get(campaign.pk, 0) >= (campaign.label_budget or 0):
            campaign_tell(campaign, FINISHED, key=f"{campaign.pk} {campaign.label_budget}")
