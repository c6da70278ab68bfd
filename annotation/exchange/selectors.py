"""Reads: imports and exports of a line, and the rows that were turned away."""

from __future__ import annotations

from uuid import UUID

from annotation.comparisons.digests import JUDGED_SHARES, PROMPT_SHARES

from .models import ImportJob, ImportRejection


def rejections_of(*, job_id: UUID, limit: int | None = None) -> list[ImportRejection]:
    rows = ImportRejection.objects.filter(job=job_id)
    return list(rows if limit is None else rows[:limit])


def fields_unused(job: ImportJob) -> list[tuple[str, int]]:
    """Fields that no part of the import reads, and in how many rows they held something; most first."""
    found: dict[str, int] = job.counts.get("unused", {})
    return sorted(found.items(), key=lambda field: (-field[1], field[0]))


def job_share(job: ImportJob) -> float | None:
    """How much of the file has been read, 0..1; None before its size is known."""
    return min(job.bytes_done / job.bytes_total, 1.0) if job.bytes_total else None


def empty_splits(job: ImportJob) -> list[str]:
    """Splits that should have got a share of the rows and got none, as when all are of few groups."""
    counts = job.counts
    paired = any(counts.get(key) for key in ("votes_new", "pairs_new"))
    asked = job.options.get("shares") or (JUDGED_SHARES if paired else PROMPT_SHARES)
    if not counts.get("rows", 0) - counts.get("rows_rejected", 0):
        return []
    return [split for split, share in asked.items() if share and not counts.get(f"rows_{split}")]
