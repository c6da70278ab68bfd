"""A person's own work: how much it was and how long it took, for pay, and how it compares. Nobody else's
answer or name is in it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons.exclusions import counting
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Judgment,
    JudgmentValue,
    Purpose,
)
from annotation.comparisons.scale import TIE, direction
from annotation.statistics.estimates import Gauged, share_estimate

from .answers import PAIR

FEWEST_TOLD = 20  # pairs: with fewer a share would give away what others said
NEWEST_OWN = 5_000
ASKED = Q(**{f"{PAIR}__purpose__in": (Purpose.TRAINING, Purpose.GATE)})


@dataclass(frozen=True)
class WorkDay:
    """What one person did on one day in one campaign: answers, and seconds at work on pairs.

    A pair's time is the longest that any answer to it reports, so that an edit is not paid twice; the
    pair belongs to the day of its first answer. Pairs whose answer was taken back count in `seconds`
    alone, skipped ones in `skipped` alone. Imported answers have no time.
    """

    rater_id: UUID
    campaign: str
    day: date
    answers: int
    skipped: int
    seconds: float


@dataclass(frozen=True)
class OwnFigures:
    """None where the person has too little to tell it by, or others would be given away."""

    with_others: Gauged | None
    repeats: Gauged | None


def work_days(*, rater: Rater | None = None, campaign: Campaign | None = None) -> list[WorkDay]:
    """Newest first; of one person, or of everybody in one campaign."""
    skipped = Assignment.objects.filter(state=AssignmentState.SKIPPED)
    judged = Judgment.objects.all()
    if rater is not None:
        skipped, judged = skipped.filter(rater=rater), judged.filter(rater=rater)
    if campaign is not None:
        skipped = skipped.filter(comparison__campaign=campaign)
        judged = judged.filter(assignment__comparison__campaign=campaign)
    tally: dict[tuple[UUID, str, date], list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for key, answered, seconds in _answered(judged):
        tally[key][0] += answered
        tally[key][2] += seconds
    for person, name, at in skipped.values_list(
        "rater_id", "comparison__campaign__name", "leased_at"
    ).iterator(chunk_size=5000):
        tally[person, name, _day(at)][1] += 1
    days = [
        WorkDay(*key, answers=int(answers), skipped=int(skips), seconds=seconds)
        for key, (answers, skips, seconds) in tally.items()
    ]
    return sorted(days, key=lambda row: (row.day, row.campaign, str(row.rater_id)), reverse=True)


def _answered(judged: QuerySet[Judgment, Judgment]) -> Any:
    """((person, campaign, day), answered or taken back, seconds) of each pair."""
    rows = judged.values("assignment_id", "rater_id").annotate(
        name=F("assignment__comparison__campaign__name"),
        at=Min("created_at"),
        longest=Max("seconds"),
        standing=Count("pk", filter=Q(active=True)),
    )
    for row in rows.order_by().iterator(chunk_size=5000):
        key = row["rater_id"], row["name"], _day(row["at"])
        yield key, row["standing"], row["longest"] or 0.0


def _day(at: datetime) -> date:
    return timezone.localtime(at).date()


def own_figures(*, rater: Rater) -> OwnFigures:
    """Of the newest answers of this person in all campaigns."""
    own = JudgmentValue.objects.filter(
        criterion__key=OVERALL,
        judgment__rater=rater,
        judgment__active=True,
        judgment__surplus=False,
    ).order_by("-judgment__created_at")
    said = dict(own.filter(ASKED).values_list(f"{PAIR}_id", "value")[:NEWEST_OWN])
    return OwnFigures(_with_others(rater, said), _repeats(own, said))


def _with_others(rater: Rater, said: dict[UUID, int]) -> Gauged | None:
    others = (
        counting(JudgmentValue.objects.filter(ASKED, criterion__key=OVERALL))
        .filter(**{f"{PAIR}__assignments__rater": rater})
        .exclude(judgment__rater=rater)
        .values(f"{PAIR}_id")
        .annotate(
            first=Count("pk", filter=Q(value__lt=TIE)), second=Count("pk", filter=Q(value__gt=TIE))
        )
    )
    hits, asked = 0.0, 0
    for row in others:
        side = direction(said.get(row[f"{PAIR}_id"], TIE))
        chosen = row["first"] + row["second"]
        if side and chosen:
            hits += (row["first"] if side < 0 else row["second"]) / chosen
            asked += 1
    return share_estimate(hits, asked) if asked >= FEWEST_TOLD else None


def _repeats(own: QuerySet[JudgmentValue, JudgmentValue], said: dict[UUID, int]) -> Gauged | None:
    rows = own.filter(**{f"{PAIR}__purpose": Purpose.REPEAT})
    again = [
        direction(value) == direction(said[before])
        for before, value in rows.values_list(f"{PAIR}__repeat_of_id", "value")[:NEWEST_OWN]
        if before in said
    ]
    return share_estimate(sum(again), len(again))
