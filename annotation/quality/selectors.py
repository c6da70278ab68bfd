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
from annotation.comparisons.models import Judgment, JudgmentValue, Purpose
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
    ranked = _ranked(line_id, narrowed)
    totals = labels.aggregate(
        **_counts(),
        training=Count("pk", filter=Q(**{f"{COMPARISON}__purpose": Purpose.TRAINING})),
    )
    return LabelSummary(
        raters=tuple(_rater_summaries(rows, labels, ranked)),
        labels=totals["labels"],
        gate_labels=totals["labels"] - totals["training"],
        ties=totals["ties"],
        both_bad=totals["bad"],
        median_seconds=totals["seconds"],
        agreement=agreement.share,
        rankings=_rankings(ranked),
    )


def _ranked(line_id: UUID, narrowed: dict[str, Any]) -> QuerySet[Judgment, Judgment]:
    """Of the labels that count those that came as rankings: they have no values, and no gate is of them."""
    return rankings_counted().filter(
        assignment__comparison__campaign__line=line_id,
        assignment__comparison__purpose=Purpose.TRAINING,
        **{field.removeprefix("judgment__"): value for field, value in narrowed.items()},
    )


def _rankings(ranked: QuerySet[Judgment, Judgment]) -> tuple[RankingCount, ...]:
    sizes = ranked.values(
        answers=Func("levels", function="CARDINALITY", output_field=IntegerField())
    )
    found = sizes.annotate(rankings=Count("pk"), raters=Count("rater", distinct=True))
    return tuple(RankingCount(**row) for row in found.order_by("answers"))


def _rater_summaries(
    rows: QuerySet[JudgmentValue, JudgmentValue],
    labels: QuerySet[JudgmentValue, JudgmentValue],
    ranked: QuerySet[Judgment, Judgment],
) -> list[RaterSummary]:
    """Everybody with a label, the most first; who only ranked is among them."""
    gold = _gold_by_rater(rows)
    rankings = dict(ranked.order_by().values_list("rater").annotate(n=Count("pk")))
    found: dict[UUID, Any] = dict.fromkeys(rankings, _NOTHING)
    by_rater = labels.values("judgment__rater").annotate(**_counts(), **_sides())
    found |= {row["judgment__rater"]: row for row in by_rater}
    raters = Rater.objects.in_bulk(list(found))
    summaries = [
        _rater_summary(raters[key], row, gold, rankings.get(key, 0)) for key, row in found.items()
    ]
    return sorted(summaries, key=lambda one: -one.labels - one.rankings)


_NOTHING = {"labels": 0, "ties": 0, "bad": 0, "decided": 0, "left": 0, "seconds": None}


def _rater_summary(
    rater: Rater, row: dict[str, Any], gold: dict[UUID, tuple[int, int]], rankings: int
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
        rankings=rankings,
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
