"""Which answers count: those that no lead has left out, and where a pair is settled the adjudicator's.

The one place for it: snapshots, gates, agreement and the queue obey these predicates.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign

from .models import Adjudication, Exclusion, JudgmentValue


def in_force() -> QuerySet[Exclusion, Exclusion]:
    return Exclusion.objects.filter(lifted_at__isnull=True)


def left_out(
    exclusions: QuerySet[Exclusion, Exclusion] | None = None, *, judgment: str = "judgment__"
) -> Exists:
    """Whether one of the exclusions fits (those in force, if none are given). Of values of judgments, or of
    what else has a `judgment`; or of rows on another path to it, of judgments themselves ""."""
    campaign = f"{judgment}assignment__comparison__campaign"
    rows = in_force() if exclusions is None else exclusions
    at = OuterRef(f"{judgment}created_at")
    return Exists(
        rows.filter(
            _nothing_or("campaign", OuterRef(campaign)),
            _nothing_or("rater", OuterRef(f"{judgment}rater")),
            _nothing_or("guideline_version", OuterRef(f"{judgment}guideline_version")),
            Q(since__isnull=True) | Q(since__lte=at),
            Q(until__isnull=True) | Q(until__gt=at),
            line=OuterRef(f"{campaign}__line"),
        )
    )


def counting(
    rows: QuerySet[JudgmentValue, JudgmentValue],
) -> QuerySet[JudgmentValue, JudgmentValue]:
    """Those of the values that count: active, in time, and not left out."""
    return rows.filter(~left_out(), judgment__active=True, judgment__surplus=False)


def label_in_force(
    rows: QuerySet[JudgmentValue, JudgmentValue],
) -> QuerySet[JudgmentValue, JudgmentValue]:
    """Those of the values that are the label of their pair: the adjudicator's where one has settled it,
    else the votes that count. An adjudicator who is left out settles nothing."""
    settled = settled_pairs().filter(comparison=OuterRef("judgment__assignment__comparison"))
    verdict = settled_pairs().filter(judgment=OuterRef("judgment"))
    vote = Q(judgment__active=True, judgment__surplus=False) & ~left_out() & ~Exists(settled)
    return rows.filter(vote | Exists(verdict))


def settled_pairs() -> QuerySet[Adjudication, Adjudication]:
    return Adjudication.objects.filter(~left_out(), lifted_at__isnull=True)


def rater_left_out(*, rater: Rater, campaign: Campaign) -> bool:
    """Whether every answer of the rater in the campaign is left out, those to come too."""
    return rater.pk in raters_left_out(campaign=campaign)


def assignment_left_out() -> Exists:
    """Of assignments: whether an answer that is given now would be left out."""
    return Exists(
        in_force().filter(
            _nothing_or("campaign", OuterRef("comparison__campaign")),
            _nothing_or("rater", OuterRef("rater")),
            _nothing_or("guideline_version", OuterRef("guideline_version")),
            line=OuterRef("comparison__campaign__line"),
            since__isnull=True,
        )
    )


def raters_left_out(*, campaign: Campaign) -> set[UUID]:
    """The raters all of whose answers in the campaign are left out."""
    rows = in_force().filter(_nothing_or("campaign", campaign), line=campaign.line)
    whole = rows.filter(since__isnull=True, guideline_version__isnull=True, rater__isnull=False)
    return set(whole.values_list("rater_id", flat=True))


def _nothing_or(name: str, value: Any) -> Q:
    return Q(**{f"{name}__isnull": True}) | Q(**{name: value})
