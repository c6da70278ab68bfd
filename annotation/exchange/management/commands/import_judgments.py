"""Take prompts, pairs or judged pairs in from a file or dataset folder."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from annotation.comparisons.digests import split_drawn
from annotation.contracts import AnnotationError
from annotation.exchange.models import ImportJob
from annotation.exchange.records import COUNT_NAMES, ImportCounts, ImportOptions
from annotation.exchange.selectors import empty_splits, fields_unused, rejections_of
from annotation.exchange.services import import_create, import_run
from annotation.exchange.shapes import ALIASES, SHAPES
from web.jobs import JobState

SHOWN_REJECTIONS = 20


class Command(BaseCommand):
    help = "Take prompts, pairs or judged pairs in from a file or dataset folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--line", help="the policy line's id; without it, a new one is drawn")
        parser.add_argument(
            "--campaign", default="", help="the campaign's name; made when it is new"
        )
        parser.add_argument("--format", default="auto", choices=["auto", *SHAPES, *ALIASES])
        parser.add_argument("--strict", action="store_true", help="one bad row: take in nothing")
        parser.add_argument("--split-by", default="", help="a field whose values stay on one side")
        parser.add_argument(
            "--shares", default="", help="of new groups, as train=0.7,validation=0.1,test=0.2"
        )
        parser.add_argument(
            "--source", default="", help="whose raters they are; the campaign's own if absent"
        )

    def handle(self, **given: Any) -> None:
        console = Console(stderr=False)
        line_id = _line(given["line"])
        options = ImportOptions(
            format=given["format"],
            strict=given["strict"],
            split_by=given["split_by"],
            source=given["source"],
            shares=_shares(given["shares"]),
            campaign=given["campaign"],
        )
        try:
            job = import_create(line_id=line_id, path=given["path"], options=options, actor="shell")
        except AnnotationError as error:
            raise CommandError(str(error)) from error
        done = _run(console, job)
        _report(console, done)
        if done.state != JobState.DONE:
            raise CommandError(done.error or f"The import was {done.state}.")


def _line(given: str | None) -> UUID:
    if given is None:
        return uuid4()
    try:
        return UUID(given)
    except ValueError as error:
        raise CommandError(f"--line is {given!r}; give the line's id, a UUID.") from error


def _shares(given: str) -> dict[str, float]:
    try:
        pairs = [part.split("=") for part in given.split(",") if part.strip()]
        shares = {split.strip(): float(share) for split, share in pairs}
        if len(shares) < len(pairs):
            raise ValueError("a split is there twice")
        if shares:
            split_drawn("0" * 64, shares)
    except ValueError as error:
        raise CommandError(f"--shares {given!r}: write train=0.7,test=0.3 ({error})") from error
    return shares


def _run(console: Console, job: ImportJob) -> ImportJob:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(escape(job.name), total=max(job.bytes_total, 1), rows=0)
        finished = import_run(
            job_id=job.pk,
            progress=lambda read, rows: bar.update(task, completed=read, rows=rows),
        )
    assert finished is not None, "a job made a moment ago is free to be claimed"
    return finished


def _report(console: Console, job: ImportJob) -> None:
    for rejection in rejections_of(job_id=job.pk, limit=SHOWN_REJECTIONS):
        console.print(str(rejection), style="yellow", markup=False, highlight=False)
    beyond = job.counts.get("rows_rejected", 0) - SHOWN_REJECTIONS
    if beyond > 0:
        console.print(f"... and {beyond:,} more rejected rows.", style="yellow")
    if not job.counts:
        return
    table = Table(title=f"Import of {escape(job.name)}: {job.get_state_display().lower()}")
    table.add_column("")
    table.add_column("Count", justify="right")
    for key, name in COUNT_NAMES.items():
        if key in asdict(ImportCounts()):
            table.add_row(name, f"{job.counts.get(key, 0):,}")
    console.print(table)
    _report_unused(console, job)
    for split in empty_splits(job):
        console.print(
            f"No row fell into {split}: the rows form few groups. Give other --shares on a new line, or"
            " another --split-by, if you need it.",
            style="yellow",
            soft_wrap=True,
        )
    if job.campaign is not None:
        said = f"Line {job.line}, campaign {job.campaign.name}."
        console.print(said, soft_wrap=True, markup=False)


def _report_unused(console: Console, job: ImportJob) -> None:
    unused = fields_unused(job)
    if not unused:
        return
    console.print(
        "Fields that were not used, and in how many rows they held something:", style="yellow"
    )
    for name, rows in unused:
        console.print(f"  {name}: {rows:,}", markup=False, highlight=False, soft_wrap=True)
