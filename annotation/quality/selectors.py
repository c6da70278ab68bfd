"""Reads on the quality of labels: agreement, and habits of each rater."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Aggregate, Count, FloatField, Func, IntegerField, Q, QuerySet

from annotation.accounts.models import Rater
from annotation.comparisons.gold import gold_answers
from annotation.comparisons.models import JudgmentValue, Purpose
from annotation.comparisons.scale import TIE, direction
from annotation.comparisons.streams import counted_values, overlap_votes, rankings_counted
from annotation.contracts import LabelSummary, OverlapVote, RankingCount, RaterSummary

COMPARISON = "judgment__assignment__comparison"


class Median(Aggregate):
    """The middle value of a group, by PostgreSQL's own interpolation."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True)
class PairwiseAgreement:
    """Of all pairs of votes on one comparison (ties left out), the share that point the same way."""

    agreeing: int
    pairs: int

    @property
    def share(self) -> float | None:
        return self.agreeing / self.pairs if self.pairs else None


def agreement_of(votes: Iterable[OverlapVote], *, with_ties: bool = False) -> PairwiseAgreement:
    """Raw agreement of pairs of votes by direction; `with_ties` counts a tie as an answer of its own."""
    by_comparison: dict[UUID, Counter[int]] = defaultdict(Counter)
    for vote in votes:
        by_comparison[vote.comparison_id][direction(vote.value)] += 1
    agreeing = pairs = 0
    for counts in by_comparison.values():
        kept = [n for side, n in counts.items() if with_ties or side != 0]
        agreeing += sum(n * (n - 1) // 2 for n in kept)
        pairs += sum(kept) * (sum(kept) - 1) // 2
    return PairwiseAgreement(agreeing, pairs)


def pairwise_agreement(
    *, line_id: UUID, since: datetime | None = None, with_ties: bool = False
) -> PairwiseAgreement:
    return agreement_of(overlap_votes(line_id=line_id, since=since), with_ties=with_ties)


def label_summary(
    *,
    line_id: UUID,
    campaign_id: UUID | None = None,
    round_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> LabelSummary:
    """Counts and habits, by rater and in all, of the labels that count.

    `since` is inclusive, `until` exclusive.
    """
    asked: dict[str, Any] = {
        f"{COMPARISON}__campaign": campaign_id,
        f"{COMPARISON}__round_id": round_id,
        "judgment__created_at__gte": since,
        "judgment__created_at__lt": until,
    }
    narrowed = {field: value for field, value in asked.items() if value is not None}
    rows = _answers(line_id).filter(**narrowed)
    labels = rows.filter(**{f"{COMPARISON}__purpose__in": (Purpose.TRAINING, Purpose.GATE)})
    agreement = agreement_of(_votes(labels))
    totals = labels.aggregate(
        **_counts(),
        training=Count("pk", filter=Q(**{f"{COMPARISON}__purpose": Purpose.TRAINING})),
    )
    return LabelSummary(
        raters=tuple(_rater_summaries(rows, labels)),
        labels=totals["labels"],
        gate_labels=totals["labels"] - totals["training"],
        ties=totals["ties"],
        both_bad=totals["bad"],
        median_seconds=totals["seconds"],
        agreement=agreement.share,
        rankings=_rankings(line_id, narrowed),
    )


def _rankings(line_id: UUID, narrowed: dict[str, Any]) -> tuple[RankingCount, ...]:
    """Of the labels that count those that came as rankings: they have no values, and no gate is of them."""
    rows = rankings_counted().filter(
        assignment__comparison__campaign__line=line_id,
        assignment__comparison__purpose=Purpose.TRAINING,
        **{field.removeprefix("judgment__"): value for field, value in narrowed.items()},
    )
    sizes = rows.values(answers=Func("levels", function="CARDINALITY", output_field=IntegerField()))
    found = sizes.annotate(rankings=Count("pk"), raters=Count("rater", distinct=True))
    return tuple(RankingCount(**row) for row in found.order_by("answers"))


def _rater_summaries(
    rows: QuerySet[JudgmentValue, JudgmentValue],
    labels: QuerySet[JudgmentValue, JudgmentValue],
) -> list[RaterSummary]:
    gold = _gold_by_rater(rows)
    found: list[Any] = list(labels.values("judgment__rater").annotate(**_counts(), **_sides()))
    found.sort(key=lambda row: -row["labels"])
    raters = Rater.objects.in_bulk([row["judgment__rater"] for row in found])
    return [_rater_summary(raters[r["judgment__rater"]], r, gold) for r in found]


def _rater_summary(
    rater: Rater,
    row: dict[str, Any],
    gold: dict[UUID, tuple[int, int]],
) -> RaterSummary:
    right, asked = gold.get(rater.pk, (0, 0))
    return RaterSummary(
        rater=rater.pseudonym,
        simulated=rater.simulated,
        labels=row["labels"],
        ties=row["ties"],
        both_bad=row["bad"],
        left_share=row["left"] / row["decided"] if row["decided"] else None,
        median_seconds=row["seconds"],
        gold_labels=asked,
        gold_accuracy=right / asked if asked else None,
    )


def _answers(line_id: UUID) -> QuerySet[JudgmentValue, JudgmentValue]:
    return counted_values(line_id=line_id)


def _counts() -> dict[str, Any]:
    return {
        "labels": Count("pk"),
        "ties": Count("pk", filter=Q(value=TIE)),
        "bad": Count("pk", filter=Q(judgment__both_bad=True)),
        "seconds": Median("judgment__seconds"),
    }


def _sides() -> dict[str, Any]:
    """Decided answers that were given on our page (imported votes tell nothing of sides)."""
    shown = Q(judgment__assignment__lease_expires_at__isnull=False) & ~Q(value=TIE)
    left_is_first = Q(judgment__assignment__shown_order__0=1)
    left = Q(left_is_first, value__lt=TIE) | Q(~left_is_first, value__gt=TIE)
    return {"decided": Count("pk", filter=shown), "left": Count("pk", filter=shown & left)}


def _gold_by_rater(rows: QuerySet[JudgmentValue, JudgmentValue]) -> dict[UUID, tuple[int, int]]:
    """(answered right, answered) by rater."""
    found: dict[UUID, tuple[int, int]] = {}
    for answer in gold_answers(rows):
        right, asked = found.get(answer.rater_id, (0, 0))
        found[answer.rater_id] = (right + answer.right, asked + 1)
    return found


def _votes(rows: QuerySet[JudgmentValue, JudgmentValue]) -> Iterable[OverlapVote]:
    """Of pairs that were asked of so many people whatever they said."""
    found = rows.filter(**{f"{COMPARISON}__adaptive": False}).values_list(
        f"{COMPARISON}_id",
        f"{COMPARISON}__prompt__root_hash",
        "judgment__rater__pseudonym",
        "value",
    )
    return (OverlapVote(*row) for row in found.iterator(chunk_size=5000))
