"""The small row of each round, kept beside the reports that it is made of.

A report lists rounds before its own, as they were known when it was stored: what was stored last holds. Most
reports list some fifty rounds, so that storing one costs the same however long the line is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from evaluation.contracts import Interval
from evaluation.reports.models import ListedRound, RoundReport
from evaluation.reports.ratings import Game, candidates_rated

# Ratings are shown to two places: one that moves by less is not written again.
MOVED = 5e-4

Document = dict[str, Any]


def report_list(report: RoundReport) -> None:
    """Take up what a report that was just stored says of its own and of earlier rounds.

    Inside the caller's transaction; other writers of the line's rows wait for its end.
    """
    _lock_line(report.line)
    told = _by_number(report.record.get("history") or ())
    known = set(_rows(report.line).filter(number__in=told).values_list("number", flat=True))
    _summaries_write(report.line, told)
    _own_write(report.line, {report.number} | (told.keys() - known))
    _ratings_write(report.line)


def listing_wrong() -> set[UUID]:
    """Lines whose rows are not what their stored reports say. Reads every report."""
    lines = set(RoundReport.objects.values_list("line", flat=True).distinct())
    lines |= set(ListedRound.objects.values_list("line", flat=True).distinct())
    return {line for line in lines if _as_listed(line) != _as_told(line)}


def listing_mend() -> None:
    """List every round anew from the stored reports, and rate all of them."""
    for line in list(RoundReport.objects.values_list("line", flat=True).distinct()):
        with transaction.atomic():
            _lock_line(line)
            _rows(line).delete()
            told = {number: summary for number, (summary, *_) in _as_told(line).items()}
            _summaries_write(line, told)
            _own_write(line, told.keys())
            _ratings_write(line)


def _rows(line: UUID) -> Any:
    return ListedRound.objects.filter(line=line)


def _lock_line(line: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 8))", [str(line)])


def _by_number(history: Iterable[Document]) -> dict[int, Document]:
    return {int(summary["number"]): summary for summary in history}


def _summaries_write(line: UUID, told: dict[int, Document]) -> None:
    ListedRound.objects.bulk_create(
        (
            ListedRound(
                line=line,
                number=number,
                summary=summary,
                verdict=summary.get("verdict") or "",
                compute_hours=summary.get("compute_hours") or 0.0,
            )
            for number, summary in told.items()
        ),
        update_conflicts=True,
        unique_fields=["line", "number"],
        update_fields=["summary", "verdict", "compute_hours"],
        batch_size=500,
    )


def _own_write(line: UUID, numbers: Iterable[int]) -> None:
    """What only a round's own report tells."""
    for number, (candidate, incumbent, overridden) in _own_told(line, numbers).items():
        _rows(line).filter(number=number).update(
            reported=True, candidate=candidate, incumbent=incumbent, overridden=overridden
        )


def _own_told(line: UUID, numbers: Iterable[int] | None) -> dict[int, tuple[str, str, bool]]:
    """(candidate, incumbent, whether a check was let through) by the last report of each round."""
    reports = RoundReport.objects.filter(line=line).order_by("number", "-created_at", "-revision")
    if numbers is not None:
        reports = reports.filter(number__in=list(numbers))
    told = reports.distinct("number").values_list(
        "number", "record__candidate_version", "record__incumbent_version", "record__overrides"
    )
    return {number: (one or "", two or "", bool(let)) for number, one, two, let in told}


def _ratings_write(line: UUID) -> None:
    """A round's labels move the ratings of those that were compared before and after it: rate all of them."""
    rated = candidates_rated(_games(line))
    kept = dict(_rows(line).values_list("number", "rating"))
    moved = {n: now.to_json() for n, now in rated.items() if _has_moved(kept[n], now)}
    for row in (rows := list(_rows(line).filter(number__in=moved).only("pk", "number"))):
        row.rating = moved[row.number]
    ListedRound.objects.bulk_update(rows, ["rating"], batch_size=500)


def _games(line: UUID) -> list[Game]:
    rows = _rows(line).exclude(candidate="").exclude(incumbent="").order_by("number")
    names = rows.values_list("number", "candidate", "incumbent", "summary__win_rate")
    return [Game(n, one, two, Interval.from_json(rate)) for n, one, two, rate in names if rate]


def _has_moved(before: Document | None, now: Interval) -> bool:
    ends = now.to_json()
    return before is None or any(
        abs(before[name] - ends[name]) > MOVED for name in ("estimate", "low", "high")
    )


def _as_told(line: UUID) -> dict[int, tuple[Any, ...]]:
    """Round -> what the line's stored reports say of it, as its row should hold it."""
    told: dict[int, Document] = {}
    reports = RoundReport.objects.filter(line=line).order_by("-created_at", "-revision")
    for history in reports.values_list("record__history", flat=True).iterator(chunk_size=4):
        for number, summary in _by_number(history or ()).items():
            told.setdefault(number, summary)
    own = _own_told(line, None)
    return {
        number: (summary, number in own, *own.get(number, ("", "", False)))
        for number, summary in told.items()
    }


def _as_listed(line: UUID) -> dict[int, tuple[Any, ...]]:
    columns = ("summary", "reported", "candidate", "incumbent", "overridden")
    return {number: tuple(rest) for number, *rest in _rows(line).values_list("number", *columns)}
