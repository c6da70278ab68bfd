"""Reads on gold items: which there are, how people answer them, and what one is told after a wrong answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign

from .exclusions import counting, raters_left_out
from .models import Assignment, Comparison, JudgmentValue, Purpose
from .page_texts import scale_steps
from .scale import answer_right, value_turned

# Marks a prompt that was written for a gold item: no policy answers it and no gate asks about it.
GOLD_TAG = "gold"


class GoldAnswer(NamedTuple):
    comparison_id: UUID
    rater_id: UUID
    right: bool


@dataclass(frozen=True)
class GoldFigures:
    """One gold item: `right` of `answered`, the right answer in words, slot 1 being A."""

    id: UUID
    prompt: str
    says: str
    explanation: str
    right: int
    answered: int
    made_at: datetime
    retired_at: datetime | None

    @property
    def share(self) -> float | None:
        return self.right / self.answered if self.answered else None


def gold_items(*, campaign: Campaign, retired: bool = False) -> QuerySet[Comparison, Comparison]:
    """The gold items of a campaign that are shown, or those that no longer are."""
    rows = Comparison.objects.filter(campaign=campaign, purpose=Purpose.GOLD)
    return rows.filter(closed_at__isnull=not retired)


def gold_figures(items: list[Comparison]) -> list[GoldFigures]:
    """The items in the order given, with how often they were answered right by whose answers count."""
    given = JudgmentValue.objects.filter(
        criterion__key=OVERALL, judgment__assignment__comparison__in=items
    )
    tally: dict[UUID, list[bool]] = {item.pk: [] for item in items}
    for answer in gold_answers(counting(given)):
        tally[answer.comparison_id].append(answer.right)
    return [
        GoldFigures(
            id=item.pk,
            prompt=str(item.prompt),
            says=answer_says(item.gold_value or 0),
            explanation=item.gold_explanation,
            right=sum(tally[item.pk]),
            answered=len(tally[item.pk]),
            made_at=item.created_at,
            retired_at=item.closed_at,
        )
        for item in items
    ]


@dataclass(frozen=True)
class GoldPerson:
    """One person's answers to the gold items of a campaign; `left_out`: they count for nothing now."""

    rater: Rater
    right: int
    answered: int
    left_out: bool

    @property
    def share(self) -> float:
        return self.right / self.answered


def gold_people(*, campaign: Campaign) -> list[GoldPerson]:
    """Everybody who answered a gold item of the campaign, the least right first; those left out too."""
    given = JudgmentValue.objects.filter(
        criterion__key=OVERALL,
        judgment__active=True,
        judgment__surplus=False,
        judgment__assignment__comparison__campaign=campaign,
    )
    tally: dict[UUID, list[bool]] = defaultdict(list)
    for answer in gold_answers(given):
        tally[answer.rater_id].append(answer.right)
    raters = Rater.objects.select_related("user").in_bulk(tally)
    out = raters_left_out(campaign=campaign)
    people = [
        GoldPerson(raters[pk], sum(right), len(right), pk in out) for pk, right in tally.items()
    ]
    return sorted(people, key=lambda each: (each.share, -each.answered))


def gold_answers(rows: QuerySet[JudgmentValue, JudgmentValue]) -> Iterator[GoldAnswer]:
    """Those of the overall values that answer gold items, each right or wrong."""
    path = "judgment__assignment__comparison"
    found = rows.filter(**{f"{path}__purpose": Purpose.GOLD}).values_list(
        f"{path}_id",
        "judgment__rater_id",
        "value",
        f"{path}__gold_value",
        f"{path}__gold_tolerance",
    )
    for pair, rater, value, known, tolerance in found:
        yield GoldAnswer(pair, rater, answer_right(value, known, tolerance))


def answer_says(value: int) -> str:
    """The answer as a sentence about A and B."""
    return next((str(step["says"]) for step in scale_steps() if step["value"] == value), "")


def gold_missed(assignment: Assignment) -> bool:
    """Whether the assignment is a gold item whose answer in force is wrong."""
    pair = assignment.comparison
    if pair.purpose != Purpose.GOLD:
        return False
    value = (
        JudgmentValue.objects.filter(
            judgment__assignment=assignment, judgment__active=True, criterion__key=OVERALL
        )
        .values_list("value", flat=True)
        .first()
    )
    known = pair.gold_value
    if value is None or known is None:
        return False
    return not answer_right(value, known, pair.gold_tolerance)


def gold_told(*, assignment_id: UUID) -> str:
    """What a person is told after a wrong answer to a gold item, in the order in which they saw it.

    Empty after a right one, for every other pair, and where the campaign tells nobody.
    """
    assignment = Assignment.objects.select_related(
        "comparison__campaign", "comparison__prompt"
    ).get(pk=assignment_id)
    pair = assignment.comparison
    if not pair.campaign.gold_feedback or not gold_missed(assignment):
        return ""
    shown = value_turned(pair.gold_value or 0, assignment.shown_order)
    said = _("About “{prompt}”: the answer that is known to be right is “{says}”.").format(
        prompt=str(pair.prompt), says=answer_says(shown)
    )
    return f"{said} {pair.gold_explanation}".strip()
