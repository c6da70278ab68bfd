"""Simulated raters at work: they go through the same queue and services as a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from annotation.accounts.models import Rater
from annotation.accounts.services import simulated_rater
from annotation.campaigns.models import PAIR, Campaign
from annotation.campaigns.selectors import opt_in_missing
from annotation.campaigns.services import guidelines_acknowledge, sensitive_opt_in
from annotation.comparisons.records import (
    Answer,
    ComparisonView,
    GuidelinesUnread,
    Lease,
    QueueClosed,
)
from annotation.comparisons.selectors import comparison_for

from .judging import judgment_submit
from .leases import assignment_skip
from .queue import queue_lease_next

Judge = Callable[[str, ComparisonView], Answer | None]
SKIPPED = "Left to people."


def labels_simulate(
    *,
    campaign_ids: Sequence[UUID],
    names: Sequence[str],
    wanted: int,
    judge: Judge,
    report: Callable[[int], None],
) -> int:
    """Let the raters take turns until `wanted` labels are in or the queues are empty; how many it were.

    Each goes through the campaigns in the order given; one that gives out nothing now is passed over, as is
    one that ranks, for a simulated rater compares two answers.
    `judge` is asked by the rater's name, and leaves a pair to people by None. `report` is told the
    number so far.
    """
    campaigns = list(Campaign.objects.filter(pk__in=campaign_ids, answers=PAIR))
    campaigns.sort(key=lambda campaign: campaign_ids.index(campaign.pk))
    waiting = [simulated_rater(name=name) for name in names]
    done = 0
    while waiting and done < wanted:
        for rater in list(waiting):
            if done >= wanted:
                break
            if any(_label_one(campaign, rater, judge) for campaign in campaigns):
                done += 1
                report(done)
            else:
                waiting.remove(rater)
    return done


def _label_one(campaign: Campaign, rater: Rater, judge: Judge) -> bool:
    while lease := _lease(campaign, rater):
        shown = comparison_for(rater=rater, assignment_id=lease.assignment_id)
        answer = judge(rater.external_id, shown)
        if answer is not None:
            judgment_submit(
                rater=rater,
                assignment_id=lease.assignment_id,
                answer=answer,
                idempotency_key=f"simulated-{lease.assignment_id}",
            )
            return True
        assignment_skip(rater=rater, assignment_id=lease.assignment_id, reason=SKIPPED)
    return False


def _lease(campaign: Campaign, rater: Rater) -> Lease | None:
    """The rater's next pair; a warning is agreed to, and guidelines read, first."""
    try:
        if opt_in_missing(rater=rater, campaign=campaign):
            warning = campaign.sensitive_warning
            sensitive_opt_in(rater=rater, campaign=campaign, warning=warning)
        try:
            return queue_lease_next(rater=rater, campaign=campaign)
        except GuidelinesUnread as unread:
            version = campaign.guidelines.get(pk=unread.version_id)
            guidelines_acknowledge(rater=rater, version=version)
            return queue_lease_next(rater=rater, campaign=campaign)
    except QueueClosed:
        return None
