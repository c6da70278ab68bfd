"""Write a line's labels as JSONL with prompt, chosen and rejected."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from annotation.contracts import AnnotationError
from annotation.exchange.exporting import export_write
from annotation.exchange.records import ExportCounts, ExportOptions


class Command(BaseCommand):
    help = "Write a line's labels as JSONL with prompt, chosen and rejected (.gz: compressed)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--line", required=True, type=UUID, help="the policy line's id")
        parser.add_argument(
            "--campaign", action="append", default=[], help="only this one; repeatable"
        )
        parser.add_argument(
            "--shape", default="conversational", choices=["conversational", "plain"]
        )
        parser.add_argument("--ties", action="store_true", help="write ties too, marked")

    def handle(self, **given: Any) -> None:
        console = Console()
        options = ExportOptions(
            shape=given["shape"], ties=given["ties"], campaigns=tuple(given["campaign"])
        )
        try:
            counts = _write(console, given["line"], given["path"], options)
        except AnnotationError as error:
            raise CommandError(str(error)) from error
        left_out = f"; {counts.ties_left_out:,} ties left out" if not given["ties"] else ""
        console.print(f"{counts.rows:,} rows written to {given['path']}{left_out}.", soft_wrap=True)


def _write(console: Console, line_id: UUID, path: Path, options: ExportOptions) -> ExportCounts:
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} rows"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("export", total=None)
        return export_write(
            line_id=line_id,
            path=path,
            options=options,
            tick=lambda rows: bar.update(task, completed=rows),
        )
