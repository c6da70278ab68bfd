"""Reading stored reports: always the last revision of a round."""

from __future__ import annotations

from uuid import UUID

from evaluation.contracts import RoundRecord, RoundSummary
from evaluation.reports.models import RoundReport


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


def reported_numbers(line_id: UUID) -> list[int]:
    rows = RoundReport.objects.filter(line=line_id).order_by("number")
    return list(rows.values_list("number", flat=True).distinct())


def newest_report(line_id: UUID) -> RoundReport | None:
    """The last revision of the line's latest reported round."""
    return RoundReport.objects.filter(line=line_id).order_by("-number", "-revision").first()


def round_summaries(line_id: UUID) -> list[RoundSummary]:
    """One row a round, each from the report that was stored last and lists it; oldest first.

    A late approval of round 6 stores a new revision of its report, which knows nothing of round 7;
    round 7 is then read from its own.
    """
    found: dict[int, RoundSummary] = {}
    wanted = set(reported_numbers(line_id))
    rows = RoundReport.objects.filter(line=line_id).order_by("-created_at", "-revision")
    for listed in rows.values_list("record__history", flat=True).iterator(chunk_size=4):
        for document in listed or ():
            summary = RoundSummary.from_json(document)
            found.setdefault(summary.number, summary)
        if wanted <= set(found):
            break
    return [found[number] for number in sorted(found)]


def round_pairings(line_id: UUID) -> dict[int, tuple[str, str]]:
    """Round -> the versions (candidate, incumbent) that its labels compare."""
    rows = RoundReport.objects.filter(line=line_id).order_by("number", "-revision")
    names = rows.distinct("number").values_list(
        "number", "record__candidate_version", "record__incumbent_version"
    )
    return {number: (first, second) for number, first, second in names if first and second}


def overridden_rounds(line_id: UUID) -> int:
    """How many rounds of the line had at least one check let through by two leads."""
    rows = RoundReport.objects.filter(line=line_id).order_by("number", "-revision")
    last = rows.distinct("number").values_list("record__overrides", flat=True)
    return sum(1 for overrides in last if overrides)
