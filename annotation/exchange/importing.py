"""Carry an import out: read, check, store in batches, report progress, stop when asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from django.db import DataError, IntegrityError, transaction

from annotation.comparisons import digests
from web.jobs import job_heard

from .collecting import collector_paused
from .destination import answers_for_import, campaign_for_import
from .golds import golds_store
from .models import ImportJob, ImportRejection
from .naming import job_source
from .raters import Intake
from .reading import WANTED, SourceRow, rows_read
from .records import ImportCounts, ImportFailed, ImportOptions, ImportRow, printable
from .shapes import Shape, shape_named
from .storing import rows_store, tables_analyze
from .units import Reading, Unit, unit_read, units_of

log = logging.getLogger(__name__)

# Rows of one transaction, fewer where they are long (bytes): a kill costs no more than it, and memory is its own.
BATCH, MOST_TEXT = 2_000, 32 * 1024 * 1024
# A file of whose first rows none can be read is given up.
PEEK = 100
# So many bad rows are kept with line and reason; beyond that they are only counted.
MOST_REJECTIONS = 10_000

# After so many rows the planner's statistics are renewed at once.
MANY_ROWS = 1_000
REFUSED = "The row could not be stored: the database refuses one of its values. The log of the site says which."

Progress = Callable[[int, int], None]  # bytes read, rows done
Batch = list[tuple[Unit, Reading]]


@dataclass
class _Run:
    """One pass over one file, into a campaign of so many `answers` to a prompt. `first` is the first row that
    was turned away, for the closing sentence."""

    job: ImportJob
    options: ImportOptions
    shape: Shape | None
    progress: Progress | None
    intake: Intake
    answers: int
    counts: ImportCounts = field(default_factory=ImportCounts)
    rejections: list[ImportRejection] = field(default_factory=list)
    first: str = ""
    unreadable: int = 0

    def reject(self, row: SourceRow, reason: str) -> None:
        self.counts.rows += 1
        self.counts.rows_rejected += 1
        self.unreadable += row.fields is None
        self.first = self.first or f"Line {row.number}: {reason}"
        if self.counts.rows_rejected <= MOST_REJECTIONS:
            self.rejections.append(
                ImportRejection(
                    job=self.job,
                    line_number=row.number,
                    reason=printable(reason)[:500],
                    excerpt=printable(row.excerpt)[:200],
                )
            )

    def rejections_write(self) -> None:
        ImportRejection.objects.bulk_create(self.rejections, batch_size=BATCH)
        self.rejections = []


def import_carry_out(*, job: ImportJob, progress: Progress | None = None) -> ImportCounts:
    """Take the file in; good rows are stored batch by batch, bad ones reported by line.

    With `strict` the file is checked first, and stored in one transaction only if every row is good.
    Raises `ImportFailed`, also where not a single row went in, and `JobCancelled`.
    """
    options = ImportOptions(**job.options)
    shape = None if options.format == "auto" else shape_named(options.format)
    intake = Intake(source=(options.source or job_source(job.name))[:100], named=options.source)
    run = _Run(job, options, shape, progress, intake, answers_for_import(job=job))
    if options.strict:
        _check_all(run)
    try:
        with transaction.atomic() if options.strict else nullcontext():
            _store_all(run)
    except ImportFailed as error:
        said = str(error).replace(Path(job.path).name, job.name)  # an upload is kept under another
        raise ImportFailed(f"{said} {_so_far(run)}") from error
    _something_taken(run)
    job_heard(job, bytes_done=job.bytes_total)
    if run.counts.rows >= MANY_ROWS:
        transaction.on_commit(tables_analyze)  # never of a dry run, which is taken back
    return run.counts


def _so_far(run: _Run) -> str:
    rows = 0 if run.options.strict else run.counts.rows - run.counts.rows_rejected
    if not rows:
        return "Nothing was taken in."
    return f"{rows:,} rows before that were taken in, and stay."


def _something_taken(run: _Run) -> None:
    counts, name = run.counts, run.job.name
    if not counts.rows:
        raise ImportFailed(f"{name} is empty: write one JSON object on each line.")
    if counts.rows > counts.rows_rejected:
        return
    if run.unreadable == counts.rows:
        raise _unreadable(run)
    raise ImportFailed(
        f"Nothing was taken in: all {counts.rows:,} rows of {name} were turned away. {run.first}"
    )


def _unreadable(run: _Run) -> ImportFailed:
    return ImportFailed(f"{run.job.name} holds no rows that can be read ({run.first}). {WANTED}")


def _check_all(run: _Run) -> None:
    """The first pass of a strict import: nothing is stored, every bad row is reported."""
    for batch in _batches(run):
        for _, reading in batch:
            for row, reason in reading.refused:
                run.reject(row, reason)
        _tell(run, 0)  # still at it, or another worker would take the job up
    if run.counts.rows_rejected:
        run.rejections_write()
        raise ImportFailed(
            f"{run.counts.rows_rejected:,} rows are bad and the import is strict, so that nothing was"
            " taken in. Mend them, or import without strict."
        )


def _store_all(run: _Run) -> None:
    batches = _batches(run)
    while _store_next(run, batches):
        if run.unreadable == run.counts.rows >= PEEK:
            raise _unreadable(run)


@collector_paused()
def _store_next(run: _Run, batches: Iterator[Batch]) -> bool:
    """Read and store one batch; False at the end of the file."""
    batch = next(batches, None)
    if batch is None:
        return False
    for _, reading in batch:
        for row, reason in reading.refused:
            run.reject(row, reason)
    _store(run, [item for item in batch if item[1].rows])
    run.rejections_write()
    _tell(run, batch[-1][0].rows[-1].end)
    return True


def _store(run: _Run, batch: Batch) -> None:
    """Store a batch; if the database refuses it, its halves, down to the bad unit, which alone stays out."""
    try:
        _store_part(run, batch)
    except (DataError, IntegrityError) as error:
        if len(batch) == 1:
            _refuse(run, *batch[0], error)
            return
        middle = len(batch) // 2
        _store(run, batch[:middle])
        _store(run, batch[middle:])


def _refuse(run: _Run, unit: Unit, reading: Reading, error: Exception) -> None:
    first = unit.rows[0]
    log.warning("Line %s of %s: %s", first.number, run.job.name, error)
    if run.options.strict:
        raise ImportFailed(f"Line {first.number}: {REFUSED}") from error
    refused = {id(row) for row, _ in reading.refused}
    for row in unit.rows:
        if id(row) not in refused:
            run.reject(row, REFUSED)
    # A batch with many such takes long, and a silent job would be taken up by another worker.
    job_heard(run.job, rows_done=run.counts.rows, counts=run.counts.to_json())


def _store_part(run: _Run, batch: Batch) -> None:
    """In one transaction: the campaign where it is new, and everything in it."""
    if not batch:
        return
    try:
        with transaction.atomic():
            campaign = campaign_for_import(job=run.job, judged=_all_judged(batch))
            parts = [
                rows_store(campaign=campaign, intake=run.intake, rows=rows, shares=shares)
                for rows, shares in _by_shares(run, batch)
            ]
            golds = golds_store(campaign=campaign, rows=_golds(batch))
            if golds.refused and run.options.strict:
                row, reason = golds.refused[0]
                raise ImportFailed(f"Line {row.number}: {reason}")
    except (DataError, IntegrityError):
        run.job.refresh_from_db(fields=["campaign"])
        run.intake.forget()
        raise
    for counts in (*parts, golds.counts):
        run.counts.add(counts)
    for row, reason in golds.refused:
        run.reject(row, reason)
    for _, reading in batch:
        for names in reading.unused:
            run.counts.leave(names)
    run.intake.keep()


def _all_judged(batch: Batch) -> bool:
    """Whether nothing in it waits for people, as pairs without votes and gold items do."""
    judged = all(unit.shape is not None and unit.shape.judged for unit, _ in batch)
    return judged and not any(True for _ in _golds(batch))


def _golds(batch: Batch) -> Iterator[tuple[SourceRow, ImportRow]]:
    for unit, reading in batch:
        yield from ((unit.rows[0], row) for row in reading.rows if row.gold is not None)


def _by_shares(run: _Run, batch: Batch) -> Iterator[tuple[Sequence[ImportRow], digests.Shares]]:
    """The rows by how new roots are divided: pairs, judged or to be judged, otherwise than prompts."""
    rows = [row for _, reading in batch for row in reading.rows if row.gold is None]
    pairs = [row for row in rows if row.texts or row.ranked]
    prompts = [row for row in rows if not row.texts and not row.ranked]
    for part, shares in ((pairs, digests.JUDGED_SHARES), (prompts, digests.PROMPT_SHARES)):
        if part:
            yield part, run.options.shares or shares


def _batches(run: _Run) -> Iterator[Batch]:
    """Units until they are enough rows, of the file or of what they become."""
    batch: Batch = []
    size = letters = 0
    for unit in units_of(rows_read(Path(run.job.path)), run.shape):
        reading = unit_read(unit, split_by=run.options.split_by, answers=run.answers)
        batch.append((unit, reading))
        size += max(len(unit.rows), len(reading.rows))
        letters += sum(len(row.content) for row in unit.rows)
        if size >= BATCH or letters >= MOST_TEXT:
            yield batch
            batch, size, letters = [], 0, 0
    if batch:
        yield batch


def _tell(run: _Run, bytes_read: int) -> None:
    if run.progress is not None:
        run.progress(bytes_read, run.counts.rows)
    job_heard(
        run.job, bytes_done=bytes_read, rows_done=run.counts.rows, counts=run.counts.to_json()
    )
