"""Simulated raters at work: they go through the same queue and services as a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from annotation.accounts.models import Rater
from annotation.accounts.services import simulated_rater
from annotation.campaigns.models import Campaign
from annotation.campaigns.selectors import guidelines_unread
from annotation.campaigns.services import guidelines_acknowledge
from annotation.comparisons.records import Answer, ComparisonView
from annotation.comparisons.selectors import comparison_for

from .judging import judgment_submit
from .queue import queue_lease_next

Judge = Callable[[str, ComparisonView], Answer]


def labels_simulate(
    *,
    campaign_id: UUID,
    names: Sequence[str],
    wanted: int,
    judge: Judge,
    report: Callable[[int], None],
) -> int:
    """Let the raters take turns until `wanted` labels are in or the queue is empty; how many it were.

    `judge` is asked by the rater's name, and `report` told the number so far. `QueueClosed` where the
    campaign gives out nothing.
    """
    campaign = Campaign.objects.get(pk=campaign_id)
    waiting = [_ready(simulated_rater(name=name), campaign) for name in names]
    done = 0
    while waiting and done < wanted:
        for rater in list(waiting):
            if done >= wanted:
                break
            if _label_one(campaign, rater, judge):
                done += 1
                report(done)
            else:
                waiting.remove(rater)
    return done


def _ready(rater: Rater, campaign: Campaign) -> Rater:
    unread = guidelines_unread(rater=rater, campaign=campaign)
    if unread is not None:
        guidelines_acknowledge(rater=rater, version=unread)
    return rater


def _label_one(campaign: Campaign, rater: Rater, judge: Judge) -> bool:
    lease = queue_lease_next(rater=rater, campaign=campaign)
    if lease is None:
        return False
    shown = comparison_for(rater=rater, assignment_id=lease.assignment_id)
    judgment_submit(
        rater=rater,
        assignment_id=lease.assignment_id,
        answer=judge(rater.external_id, shown),
        idempotency_key=f"simulated-{lease.assignment_id}",
    )
    return True
