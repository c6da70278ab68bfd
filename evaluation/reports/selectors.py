"""Reading stored reports, always the last revision of a round, and the list of a line's rounds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from evaluation.contracts import (
    Interval,
    RewardModelMeasurements,
    RoundRecord,
    RoundSummary,
    Verdict,
)
from evaluation.reports.models import ListedRound, RoundReport


@dataclass(frozen=True)
class HistoryTotals:
    """Of all rounds of a line that are listed; `overridden` had a check let through by two leads."""

    rounds: int
    verdicts: dict[Verdict, int]
    compute_hours: float
    overridden: int


@dataclass(frozen=True)
class MeasuredRewardModel:
    """Of the labels in round `number`'s snapshot (a ranking counted as its pairs), on held-out pairs."""

    number: int
    reported_at: datetime
    labels: int
    accuracy: Interval


@dataclass(frozen=True)
class ReportedLine:
    """What the newest report calls its line, and whether its annotators are programs."""

    slug: str
    name: str
    simulated: bool


def report_get(round_id: UUID) -> RoundRecord | None:
    row = RoundReport.objects.filter(round=round_id).order_by("-revision").first()
    return row.frozen if row else None


def report_exists(round_id: UUID) -> bool:
    return RoundReport.objects.filter(round=round_id).exists()


def line_of_slug(slug: str) -> UUID | None:
    """The line that was last reported under this slug."""
    rows = RoundReport.objects.filter(line_slug=slug).order_by("-created_at")
    return rows.values_list("line", flat=True).first()


def report_of_number(line_id: UUID, number: int) -> RoundReport | None:
    rows = RoundReport.objects.filter(line=line_id, number=number)
    return rows.order_by("-created_at", "-revision").first()


def reported_beside(line_id: UUID, number: int) -> tuple[int | None, int | None]:
    """The nearest rounds of the line before and after `number` that have a report."""
    rows = RoundReport.objects.filter(line=line_id).values_list("number", flat=True)
    before = rows.filter(number__lt=number).order_by("-number").first()
    return before, rows.filter(number__gt=number).order_by("number").first()


def reported_line(line_id: UUID) -> ReportedLine | None:
    """By the last revision of the line's latest reported round."""
    rows = RoundReport.objects.filter(line=line_id).order_by("-number", "-revision")
    said = rows.values_list("line_slug", "record__line_name", "record__simulated").first()
    return ReportedLine(said[0], said[1] or said[0], bool(said[2])) if said else None


def rounds_listed(line_id: UUID) -> QuerySet[ListedRound]:
    return ListedRound.objects.filter(line=line_id)


def history_totals(line_id: UUID) -> HistoryTotals:
    verdicts: tuple[Verdict, ...] = ("PROMOTE", "REJECT", "INCONCLUSIVE")
    counted = {verdict: Count("line", filter=Q(verdict=verdict)) for verdict in verdicts}
    found = rounds_listed(line_id).aggregate(
        rounds=Count("*"),
        hours=Sum("compute_hours", default=0.0),
        overridden=Count("line", filter=Q(overridden=True)),
        **counted,
    )
    return HistoryTotals(
        found["rounds"],
        {verdict: found[verdict] for verdict in verdicts},
        found["hours"],
        found["overridden"],
    )


def reward_models_measured(line_id: UUID, *, newest: int) -> list[MeasuredRewardModel]:
    """The reward models of the last rounds of a line with their held-out accuracy, oldest first."""
    rows = RoundReport.objects.filter(line=line_id).order_by("-number", "-created_at", "-revision")
    of_round = rows.distinct("number").values_list(
        "number", "created_at", "record__labels__training", "record__reward_model"
    )
    found = []
    for number, at, labels, measured in of_round[:newest]:
        model = RewardModelMeasurements.from_json(measured) if measured else None
        split = model.split("test", "validation") if model else None
        if split is not None and labels:
            found.append(MeasuredRewardModel(number, at, labels, split.accuracy))
    return found[::-1]


def rounds_rated(line_id: UUID, *, newest: int) -> list[RoundSummary]:
    """The last rounds of a line that are listed, oldest first, with the ratings of their candidates."""
    rows = rounds_listed(line_id).order_by("-number")[:newest]
    return [row.frozen for row in reversed(rows)]
