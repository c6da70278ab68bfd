"""Pairs on which people disagree, worst first, for an adjudicator; the votes without names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast, Greatest, Least

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons.exclusions import counting, settled_pairs
from annotation.comparisons.models import (
    Adjudication,
    Assignment,
    AssignmentState,
    Comparison,
    JudgmentValue,
    Purpose,
    Split,
)
from annotation.comparisons.scale import TIE

PAIR = "judgment__assignment__comparison"
# States of an assignment after which the pair is still news to the rater.
NOT_MET = (AssignmentState.EXPIRED, AssignmentState.SETTLED)


@dataclass(frozen=True)
class Disagreement:
    """A training pair with decided votes on both sides: `first` for slot 1, `second` for slot 2."""

    pair_id: UUID
    prompt: str
    first: int
    ties: int
    second: int


# Worst first: the narrowest majority, then the most votes against it.
WORST_FIRST = ("gap", "-fewer", "pair")


def disagreements(
    *, campaign: Campaign, rater: Rater | None = None, prompt: str = ""
) -> QuerySet[JudgmentValue, Any]:
    """Pairs of which at least the campaign's share of the decided votes is for the other side, as rows of
    `pair`, `first`, `ties` and `second`, worst first; with a rater, those that this one may settle, with
    `prompt` those whose prompt contains it.

    A pair that more people will still be asked about waits for them; one that is settled is over.
    """
    votes = JudgmentValue.objects.filter(
        ~Exists(settled_pairs().filter(comparison=OuterRef(PAIR))),
        criterion__key=OVERALL,
        **{
            f"{PAIR}__campaign": campaign,
            f"{PAIR}__purpose": Purpose.TRAINING,
            f"{PAIR}__open": False,
            f"{PAIR}__judged__gte": 2,
        },
    ).exclude(**{f"{PAIR}__prompt__split": Split.EVALUATION})
    if rater is not None:
        met = Assignment.objects.filter(rater=rater, comparison=OuterRef(PAIR))
        votes = votes.filter(~Exists(met.exclude(state__in=NOT_MET)))
    if prompt:
        written = json.dumps(prompt, ensure_ascii=False)[1:-1]  # as it stands within the messages
        votes = votes.alias(messages=Cast(f"{PAIR}__prompt__messages", TextField()))
        votes = votes.filter(messages__icontains=written)
    counted = (
        counting(votes)
        .values(pair=F(f"{PAIR}_id"))
        .annotate(
            first=Count("pk", filter=Q(value__lt=TIE)),
            ties=Count("pk", filter=Q(value=TIE)),
            second=Count("pk", filter=Q(value__gt=TIE)),
        )
    )
    shared = counted.annotate(
        fewer=Least("first", "second"), more=Greatest("first", "second")
    ).filter(fewer__gte=campaign.adjudication_share * (F("fewer") + F("more")), fewer__gt=0)
    return shared.annotate(gap=F("more") - F("fewer")).order_by(*WORST_FIRST)


def disagreement_rows(found: Sequence[Mapping[str, Any]]) -> list[Disagreement]:
    """Rows of `disagreements` with their prompts, fetched at once."""
    pairs = Comparison.objects.select_related("prompt").in_bulk([row["pair"] for row in found])
    return [
        Disagreement(
            pair_id=row["pair"],
            prompt=str(pairs[row["pair"]].prompt),
            first=row["first"],
            ties=row["ties"],
            second=row["second"],
        )
        for row in found
    ]


@dataclass(frozen=True)
class Settled:
    pair_id: UUID
    prompt: str
    at: datetime


def settled_lately(*, campaign: Campaign, rater: Rater, limit: int = 5) -> list[Settled]:
    """The pairs that an adjudicator settled last, newest first."""
    rows = Adjudication.objects.filter(
        comparison__campaign=campaign, judgment__rater=rater, lifted_at__isnull=True
    ).select_related("comparison__prompt", "judgment")
    return [
        Settled(row.comparison_id, str(row.comparison.prompt), row.judgment.created_at)
        for row in rows.order_by("-judgment__created_at")[:limit]
    ]
