"""Carry an import out: read, check, store in batches, report progress, stop when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, transaction

from annotation.campaigns.models import Campaign, CampaignState
from annotation.campaigns.services import campaign_create
from annotation.comparisons import digests
from web.outages import first_line

from .jobs import job_heard
from .models import ImportJob, ImportRejection
from .reading import JsonLine, json_lines, kind_of, row_parsed
from .records import ImportCounts, ImportFailed, ImportOptions, ImportRow, RowRejected, printable
from .shapes import Shape, shape_named, shape_of
from .shapes.fields import name_field
from .storing import job_source, rows_store, tables_analyze

BATCH = 500
# How many lines are looked at for the first one that tells the shape.
PEEK = 100
# So many bad rows are kept with line and reason; beyond that they are only counted.
MOST_REJECTIONS = 10_000

# After so many rows the planner's statistics are renewed at once.
MANY_ROWS = 1_000

Progress = Callable[[int, int], None]  # bytes read, rows done


@dataclass
class _Run:
    """One pass over one file."""

    job: ImportJob
    options: ImportOptions
    shape: Shape
    source: str
    progress: Progress | None
    counts: ImportCounts = field(default_factory=ImportCounts)
    rejections: list[ImportRejection] = field(default_factory=list)

    def reject(self, line: JsonLine, reason: str) -> None:
        self.counts.rows += 1
        self.counts.rows_rejected += 1
        if self.counts.rows_rejected <= MOST_REJECTIONS:
            excerpt = printable(line.content[:400].decode("utf-8", "replace").strip())
            self.rejections.append(
                ImportRejection(
                    job=self.job,
                    line_number=line.number,
                    reason=printable(reason)[:500],
                    excerpt=excerpt[:200],
                )
            )

    def rejections_write(self) -> None:
        ImportRejection.objects.bulk_create(self.rejections, batch_size=BATCH)
        self.rejections = []


def import_carry_out(*, job: ImportJob, progress: Progress | None = None) -> ImportCounts:
    """Take the file in; good rows are stored batch by batch, bad ones reported by line.

    With `strict` the file is checked first, and stored in one transaction only if every row is good.
    Raises `ImportFailed` and `JobCancelled`.
    """
    options = ImportOptions(**job.options)
    path = Path(job.path)
    shape = _shape(path, options)
    source = (options.source or job_source(job.name))[:100]
    run = _Run(job, options, shape, source, progress)
    if options.strict:
        _check_all(path, run)
    campaign = _campaign_of(job, shape, source)
    with transaction.atomic() if options.strict else nullcontext():
        _store_all(path, run, campaign)
    if run.counts.rows >= MANY_ROWS:
        tables_analyze()
    return run.counts


def _shape(path: Path, options: ImportOptions) -> Shape:
    if options.format != "auto":
        return shape_named(options.format)
    first: tuple[JsonLine, str] | None = None
    for _, line in zip(range(PEEK), json_lines(path), strict=False):
        try:
            return shape_of(row_parsed(line), line_number=line.number)
        except RowRejected as rejected:
            first = first or (line, str(rejected))
    if first is None:
        raise ImportFailed(f"{path.name} is empty: write one JSON object on each line.")
    line, reason = first
    kind = kind_of(line.content[:1024])
    found = f"it is {kind}" if kind else f"no line of its beginning is a JSON object ({reason})"
    raise ImportFailed(
        f"{path.name} is not JSONL: {found}. Write one JSON object on each line, in UTF-8 (from a JSON"
        " array: jq -c '.[]')."
    )


def _check_all(path: Path, run: _Run) -> None:
    """The first pass of a strict import: nothing is stored, every bad row is reported."""
    for batch in _batches(path):
        for line in batch:
            try:
                _row(line, run)
            except RowRejected as rejected:
                run.reject(line, str(rejected))
        _tell(run, 0)  # still at it, or another worker would take the job up
    if run.counts.rows_rejected:
        run.rejections_write()
        raise ImportFailed(
            f"{run.counts.rows_rejected:,} rows are bad and the import is strict, so that nothing was"
            " taken in. Mend them, or import without strict."
        )


def _store_all(path: Path, run: _Run, campaign: Campaign) -> None:
    shares = _shares(run)
    for batch in _batches(path):
        rows: list[tuple[JsonLine, ImportRow]] = []
        for line in batch:
            try:
                rows.append((line, _row(line, run)))
            except RowRejected as rejected:
                run.reject(line, str(rejected))
        _store(run, campaign, rows, shares)
        run.rejections_write()
        _tell(run, batch[-1].end)


def _store(
    run: _Run, campaign: Campaign, rows: list[tuple[JsonLine, ImportRow]], shares: digests.Shares
) -> None:
    """Store a batch; if the database refuses it, row by row, so that only the bad one stays out."""

    def store(part: list[tuple[JsonLine, ImportRow]]) -> ImportCounts:
        return rows_store(
            campaign=campaign, source=run.source, rows=[row for _, row in part], shares=shares
        )

    try:
        run.counts.add(store(rows))
    except (DataError, IntegrityError):
        for line, row in rows:
            try:
                run.counts.add(store([(line, row)]))
            except (DataError, IntegrityError) as error:
                if run.options.strict:
                    raise ImportFailed(f"Line {line.number}: {first_line(error)}") from error
                run.reject(line, f"The database refuses the row: {first_line(error)}")


def _row(line: JsonLine, run: _Run) -> ImportRow:
    fields = row_parsed(line)
    if not run.shape.fits(fields):
        found = ", ".join(sorted(fields)[:12]) or "nothing"
        raise RowRejected(f"The row is not {run.shape.name}: it has the fields {found}.")
    row = run.shape.parse(fields)
    group = _group(fields, run.options.split_by)
    return replace(row, group=group) if group else row


def _group(fields: Mapping[str, Any], split_by: str) -> str:
    key = split_by or "group"
    if key not in fields:
        if split_by:
            raise RowRejected(f"The row has no field {split_by!r} to keep rows together by.")
        return ""
    return name_field(fields[key], key)


def _shares(run: _Run) -> digests.Shares:
    if run.options.shares:
        return run.options.shares
    return digests.JUDGED_SHARES if run.shape.judged else digests.PROMPT_SHARES


def campaign_for_import(*, line_id: UUID, name: str, judged: bool) -> Campaign:
    """The line's campaign of this name; a new one is closed when everything in it is judged."""
    found = Campaign.objects.filter(line=line_id, name=name[:120]).first()
    if found is not None:
        return found
    state = CampaignState.CLOSED if judged else CampaignState.DRAFT
    return campaign_create(line_id=line_id, name=name[:120], state=state)


def _campaign_of(job: ImportJob, shape: Shape, source: str) -> Campaign:
    if job.campaign is None:
        name = ImportOptions(**job.options).campaign or source
        job.campaign = campaign_for_import(line_id=job.line, name=name, judged=shape.judged)
        job.save(update_fields=["campaign"])
    return job.campaign


def _batches(path: Path) -> Iterator[list[JsonLine]]:
    lines = json_lines(path)
    for first in lines:
        rest = (line for _, line in zip(range(BATCH - 1), lines, strict=False))
        yield list(chain([first], rest))


def _tell(run: _Run, bytes_read: int) -> None:
    if run.progress is not None:
        run.progress(bytes_read, run.counts.rows)
    job_heard(
        run.job, bytes_done=bytes_read, rows_done=run.counts.rows, counts=run.counts.to_json()
    )
