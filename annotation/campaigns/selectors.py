"""Reads: a line's campaigns, what is asked in them, and which guidelines hold now."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import F, Max, QuerySet

from annotation.accounts.models import Rater
from annotation.comparisons.counts import queue_sums, rater_numbers
from annotation.contracts import AnnotationError, CampaignSummary
from web.records import record_of

from .models import PAIR, Campaign, CampaignState, GuidelineVersion


def campaigns_of(*, line_id: UUID) -> QuerySet[Campaign, Campaign]:
    return Campaign.objects.filter(line=line_id)


def campaign_of_line(*, line_id: UUID) -> Campaign | None:
    """The campaign that new pairs of the line go to, as `campaign_for_pairs` has it; else the newest that
    is not archived, else None."""
    try:
        return campaign_for_pairs(line_id=line_id)
    except AnnotationError:
        rows = campaigns_of(line_id=line_id).filter(archived_at=None)
        return rows.order_by("-created_at").first()


def campaign_for_pairs(*, line_id: UUID, campaign_id: UUID | None = None) -> Campaign:
    """Where new pairs of a line go: the campaign named, else the newest one that is not closed. One that
    ranks three answers or more takes no pairs, one of conversations makes its own: both are passed over."""
    rows = campaigns_of(line_id=line_id)
    if campaign_id is not None:
        found = rows.filter(pk=campaign_id).first()
        if found is None:
            raise AnnotationError(f"The line {line_id} has no campaign {campaign_id}.")
        return found
    found = _newest_open(rows.filter(answers=PAIR, turns=None))
    if found is not None:
        return found
    raise AnnotationError(
        f"The line {line_id} has no campaign that takes pairs: make one, or open a closed one."
    )


def campaign_ranking(*, line_id: UUID, answers: int) -> Campaign | None:
    """The line's newest campaign that ranks just so many answers and is not closed, an active one first."""
    if answers == PAIR:
        return None
    return _newest_open(campaigns_of(line_id=line_id).filter(answers=answers))


def _newest_open(rows: QuerySet[Campaign, Campaign]) -> Campaign | None:
    for state in (CampaignState.ACTIVE, CampaignState.PAUSED, CampaignState.DRAFT):
        found = rows.filter(state=state).order_by("-created_at").first()
        if found is not None:
            return found
    return None


def guidelines_current(*, campaign: Campaign) -> GuidelineVersion | None:
    return campaign.guidelines.order_by("-number").first()


def guidelines_text(*, line_id: UUID) -> str:
    """The guidelines in force in the campaign to which the line's pairs go; empty where there are none."""
    try:
        current = guidelines_current(campaign=campaign_for_pairs(line_id=line_id))
    except AnnotationError:
        return ""
    return current.text if current else ""


def opt_in_missing(*, rater: Rater, campaign: Campaign) -> bool:
    """Whether the campaign warns of its content and this rater has not agreed to the words it uses now."""
    warning = campaign.sensitive_warning
    return bool(warning) and not campaign.opt_ins.filter(rater=rater, warning=warning).exists()


def opted_in_campaigns(*, rater: Rater) -> list[Campaign]:
    """The campaigns whose warning, as it reads now, this rater has agreed to; by name."""
    agreed = Campaign.objects.filter(opt_ins__rater=rater, opt_ins__warning=F("sensitive_warning"))
    return list(agreed.exclude(sensitive_warning="").order_by("name"))


def opted_in_number(*, campaign: Campaign) -> int:
    return campaign.opt_ins.filter(warning=campaign.sensitive_warning).count()


def guidelines_numbers(campaigns: Iterable[Campaign]) -> dict[UUID, int]:
    """Campaign -> the number of its guidelines in force, of those that have any; one query."""
    found = GuidelineVersion.objects.filter(campaign__in=list(campaigns)).order_by()
    return dict(found.values_list("campaign").annotate(Max("number")))


def guidelines_unread(*, rater: Rater, campaign: Campaign) -> GuidelineVersion | None:
    """The version that this rater must acknowledge before the next item, if any."""
    current = guidelines_current(campaign=campaign)
    if current is None or current.acknowledgements.filter(rater=rater).exists():
        return None
    return current


def campaign_summaries(*, line_id: UUID, archived: bool = False) -> list[CampaignSummary]:
    """Of the line's campaigns that are not archived, or of those that are."""
    rows = campaigns_of(line_id=line_id).filter(archived_at__isnull=not archived)
    return campaigns_summed(list(rows.order_by("-created_at")))


def campaigns_found(
    *,
    line_ids: Collection[UUID] | None,
    archived: bool = False,
    line: str = "",
    state: str = "",
) -> QuerySet[Campaign, Campaign]:
    """Campaigns of these lines (None: every line); of them the ones of one line, or in one state."""
    rows = Campaign.objects.filter(archived_at__isnull=not archived)
    if line_ids is not None:
        rows = rows.filter(line__in=line_ids)
    if line:
        rows = rows.filter(line=line)
    return rows.filter(state=state) if state else rows


def campaigns_summed(campaigns: list[Campaign]) -> list[CampaignSummary]:
    """In as many queries for one campaign as for a hundred."""
    ids = [campaign.pk for campaign in campaigns]
    queues = {row["campaign"]: row for row in queue_sums(ids, "campaign")}
    raters, guidelines = rater_numbers(ids), guidelines_numbers(campaigns)
    nothing = {"open_pairs": 0, "leases": 0, "answers": 0}
    return [
        record_of(
            CampaignSummary,
            campaign,
            open=queue["open_pairs"],
            leased=queue["leases"],
            labels=queue["answers"],
            raters=raters[campaign.pk],
            guidelines=guidelines.get(campaign.pk),
        )
        for campaign in campaigns
        for queue in [queues.get(campaign.pk, nothing)]
    ]
