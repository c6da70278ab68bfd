"""The quality of a campaign's labels, for programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema

from annotation.campaigns.views import campaign_for
from annotation.contracts import RaterSummary
from web.api.access import TokenAuth
from web.api.problems import Problem
from web.tokens import READ

from .progress import campaign_progress
from .rankings import ranking_figures
from .selectors import label_summary

router = Router(tags=["quality"])


class RaterOut(Schema):
    """Of one rater by pseudonym; shares are null where there is nothing to divide. A ranking is counted once, in
    `rankings`; everything else is of pairs."""

    rater: str
    simulated: bool
    labels: int
    ties: int
    both_bad: int
    left_share: float | None
    median_seconds: float | None
    gold_labels: int
    gold_accuracy: float | None
    rankings: int


class QualityOut(Schema):
    """`agreement`: of two raters' decided answers to one pair, the share that point the same way. Where answers
    are ranked the other figures are of no pair, and `rankings` count; `rank_correlation` is 1 where people put
    the same answers in the same order and 0 by chance, null with too little to tell."""

    labels: int
    gate_labels: int
    ties: int
    both_bad: int
    median_seconds: float | None
    agreement: float | None
    rankings: int
    rank_correlation: float | None
    raters: list[RaterOut]


class DayOut(Schema):
    """`paid`: answers of persons, who took `seconds`; `cost` by the campaign's prices, null without one."""

    day: date
    answers: int
    people: int
    paid: int
    seconds: float
    cost: float | None


class ProgressOut(Schema):
    """`of_budget`: answers that the budget counts; `to_come`: what open pairs want, within it; `pace` in
    answers a day over the last week; `days_left` and `done_on` are null where nobody labels. `days`: the last
    thirty, oldest first."""

    answers: int
    of_budget: int
    to_come: int
    pace: float
    days_left: int | None
    done_on: date | None
    cost: float | None
    cost_at_end: float | None
    days: list[DayOut]


@router.get(
    "/campaigns/{campaign_id}/progress",
    response={200: ProgressOut, 404: Problem},
    auth=TokenAuth(READ),
    url_name="campaign_progress",
)
def progress_read(request: HttpRequest, campaign_id: UUID) -> ProgressOut:
    """What was answered day by day, what it cost, and how long the rest takes."""
    found = campaign_progress(campaign=campaign_for(request, campaign_id))
    return ProgressOut(**asdict(found))


@router.get(
    "/campaigns/{campaign_id}/quality",
    response={200: QualityOut, 404: Problem},
    auth=TokenAuth(READ),
    url_name="campaign_quality",
)
def campaign_quality(request: HttpRequest, campaign_id: UUID) -> QualityOut:
    campaign = campaign_for(request, campaign_id)
    found = label_summary(line_id=campaign.line, campaign_id=campaign.pk)
    rankings, order = ranking_figures(campaign=campaign)
    return QualityOut(
        labels=found.labels,
        gate_labels=found.gate_labels,
        ties=found.ties,
        both_bad=found.both_bad,
        median_seconds=found.median_seconds,
        agreement=found.agreement,
        rankings=rankings,
        rank_correlation=order.value if order else None,
        raters=[_rater_shown(rater) for rater in found.raters],
    )


def _rater_shown(rater: RaterSummary) -> RaterOut:
    return RaterOut(**{name: getattr(rater, name) for name in RaterOut.model_fields})
