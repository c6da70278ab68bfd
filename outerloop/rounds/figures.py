"""Counts over all lines, for monitoring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, F, Q, Sum

from .models import Round, RoundStep, StartAttempt, State


@dataclass(frozen=True)
class LineCount:
    """`line` is the line's name, `key` what is counted: a state, a verdict, an outcome."""

    line: str
    key: str
    count: int


@dataclass(frozen=True)
class StepFigure:
    """`seconds` is the sum over the `finished` ones; `failed` counts rounds that stopped there."""

    name: str
    finished: int
    seconds: float
    attempts: int
    failed: int


def round_counts() -> list[LineCount]:
    rows = Round.objects.values("line__name", "state").annotate(count=Count("pk"))
    return [LineCount(row["line__name"], row["state"], row["count"]) for row in rows]


def verdict_counts() -> list[LineCount]:
    rows = Round.objects.exclude(verdict="").values("line__name", "verdict")
    counted = rows.annotate(count=Count("pk"))
    return [LineCount(row["line__name"], row["verdict"], row["count"]) for row in counted]


def start_counts() -> list[LineCount]:
    """How often a round was asked for: "started", or "skipped" with a reason."""
    rows = StartAttempt.objects.values("line__name").annotate(
        skipped=Count("pk", filter=~Q(reason="")), started=Count("pk", filter=Q(reason=""))
    )
    return [
        LineCount(row["line__name"], key, row[key])
        for row in rows
        for key in ("started", "skipped")
    ]


def step_figures() -> list[StepFigure]:
    ended = Q(started_at__isnull=False, finished_at__isnull=False)
    rows = RoundStep.objects.values("name").annotate(
        finished=Count("pk", filter=ended),
        time=Sum(F("finished_at") - F("started_at"), filter=ended, default=timedelta()),
        attempts=Sum("fence", default=0),
        failed=Count("pk", filter=Q(finished_at__isnull=True, round__state=State.FAILED)),
    )
    return [
        StepFigure(
            name=row["name"],
            finished=row["finished"],
            seconds=row["time"].total_seconds(),
            attempts=row["attempts"],
            failed=row["failed"],
        )
        for row in rows.order_by("name")
    ]
