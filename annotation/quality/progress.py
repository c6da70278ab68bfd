"""How fast a campaign is labelled, what it has cost, and where that leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter

from django.core.cache import cache
from django.db import connections, router
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons.counts import queue_sums
from annotation.comparisons.models import Judgment
from annotation.comparisons.services.budgets import budget_answers

SHOWN = 30  # days, today among them
WEEK = 7  # days over which the pace is taken
SLOW, KEPT = 0.2, 120  # seconds: what takes longer than SLOW to count is shown again for KEPT

# A pair belongs to the day of its first answer, its time is the longest that an answer to it took, and it is
# counted while an answer to it stands. Imported votes were not given here.
BY_DAY = """
SELECT day, count(*) FILTER (WHERE standing), count(DISTINCT rater_id),
       count(*) FILTER (WHERE standing AND paid), coalesce(sum(longest) FILTER (WHERE paid), 0)
FROM (
    SELECT (min(judgment.created_at) AT TIME ZONE %(zone)s)::date AS day, judgment.rater_id,
           max(judgment.seconds) AS longest, bool_or(judgment.active) AS standing,
           bool_or(NOT rater.simulated) AS paid
    FROM comparisons_judgment judgment
    JOIN comparisons_assignment assignment ON assignment.id = judgment.assignment_id
    JOIN comparisons_comparison pair ON pair.id = assignment.comparison_id
    JOIN accounts_rater rater ON rater.id = judgment.rater_id
    WHERE pair.campaign_id = %(campaign)s AND (rater.external_id = '' OR rater.simulated)
    GROUP BY judgment.assignment_id, judgment.rater_id
) answered
GROUP BY day ORDER BY day
"""


@dataclass(frozen=True)
class DayDone:
    """One day of a campaign: `answers` that stand, by so many `people`; `paid` of them by persons, who took
    so many `seconds`; `cost` by the campaign's prices, None without one."""

    day: date
    answers: int = 0
    people: int = 0
    paid: int = 0
    seconds: float = 0.0
    cost: float | None = None


@dataclass(frozen=True)
class CampaignProgress:
    """`answers` that stand, imported ones aside; `of_budget` those that the queue counts, and `to_come`: what
    the open pairs want, within the budget.

    `pace` is in answers a day over the last week, or since the first answer. `days_left` and `done_on` follow
    from it, None where nobody labels. `cost` is of persons' answers so far, `cost_at_end` when those to come
    cost as much each; None without a price, or with nothing to tell it by. `days` are the last ones, oldest
    first, with those on which nothing was done.
    """

    answers: int
    of_budget: int
    to_come: int
    pace: float
    days_left: int | None
    done_on: date | None
    cost: float | None
    cost_at_end: float | None
    days: tuple[DayDone, ...]


def campaign_progress(*, campaign: Campaign, today: date | None = None) -> CampaignProgress:
    """`today` is the date in the site's time zone, unless another is to be taken for it."""
    today = today or timezone.localdate()
    done = campaign_days(campaign=campaign)
    answers = sum(day.answers for day in done)
    of_budget = budget_answers([campaign.pk]).get(campaign.pk, 0)
    to_come = _to_come(campaign, of_budget)
    pace = _pace(done, today)
    days_left = math.ceil(to_come / pace) if pace else (None if to_come else 0)
    has_price = campaign.answer_price is not None or campaign.hour_price is not None
    cost = sum(day.cost or 0.0 for day in done) if has_price else None
    paid = sum(day.paid for day in done)
    return CampaignProgress(
        answers=answers,
        of_budget=of_budget,
        to_come=to_come,
        pace=pace,
        days_left=days_left,
        done_on=None if days_left is None else today + timedelta(days=days_left),
        cost=cost,
        cost_at_end=cost + to_come * cost / paid if cost is not None and paid else cost,
        days=_last_days(done, today),
    )


def campaign_days(*, campaign: Campaign) -> list[DayDone]:
    """Every day on which something was answered, oldest first."""
    return [_priced(day, campaign) for day in _days_counted(campaign)]


def _days_counted(campaign: Campaign) -> list[DayDone]:
    """Without prices. Of a large campaign the count is up to two minutes old."""
    key = f"campaign-days-{campaign.pk}"
    kept: list[DayDone] | None = cache.get(key)
    if kept is not None:
        return kept
    began = perf_counter()
    with connections[router.db_for_read(Judgment)].cursor() as cursor:
        cursor.execute(
            BY_DAY, {"zone": timezone.get_current_timezone_name(), "campaign": campaign.pk}
        )
        days = [DayDone(*row) for row in cursor.fetchall()]
    if perf_counter() - began > SLOW:
        cache.set(key, days, KEPT)
    return days


def _priced(day: DayDone, campaign: Campaign) -> DayDone:
    if campaign.answer_price is None and campaign.hour_price is None:
        return day
    by_answer = (campaign.answer_price or 0.0) * day.paid
    by_hour = (campaign.hour_price or 0.0) * day.seconds / 3600
    return DayDone(day.day, day.answers, day.people, day.paid, day.seconds, by_answer + by_hour)


def _to_come(campaign: Campaign, of_budget: int) -> int:
    """Gold items are asked of everybody and never come to an end: they are not among what is open."""
    rows = queue_sums([campaign.pk], "purpose").exclude(purpose="gold")
    wanted: int = sum(max(0, row["places"] - row["answers"]) for row in rows)
    if campaign.label_budget is None:
        return wanted
    return min(wanted, max(0, campaign.label_budget - of_budget))


def _pace(done: Sequence[DayDone], today: date) -> float:
    """Answers a day since a week ago, today not counted unless it is the first day."""
    earlier = [day for day in done if day.day < today]
    if not earlier:
        return float(sum(day.answers for day in done))
    first = max(earlier[0].day, today - timedelta(days=WEEK))
    return sum(day.answers for day in earlier if day.day >= first) / (today - first).days


def _last_days(done: Sequence[DayDone], today: date) -> tuple[DayDone, ...]:
    """From the first answer on, or the last `SHOWN` days."""
    if not done:
        return ()
    known = {day.day: day for day in done}
    first = max(done[0].day, today - timedelta(days=SHOWN - 1))
    dates = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    return tuple(known.get(each) or DayDone(each) for each in dates)
