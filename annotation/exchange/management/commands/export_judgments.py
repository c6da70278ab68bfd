"""Write a line's labels for a trainer, or every judgment with all that is known of it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from annotation.contracts import AnnotationError
from annotation.exchange.export_options import (
    EXPORT_COUNT_NAMES,
    LAYOUTS,
    SHAPES,
    ExportCounts,
    ExportOptions,
    container_of,
)
from annotation.exchange.services import export_to_file


class Command(BaseCommand):
    help = (
        "Write a line's labels for a trainer, or with --everything every judgment. The file's ending says"
        " how: .jsonl, .csv (either with .gz), .parquet, .zip or none for a Hugging Face dataset folder."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--line", required=True, help="the policy line's id")
        parser.add_argument(
            "--campaign", action="append", default=[], help="only this one; repeatable"
        )
        parser.add_argument(
            "--everything", action="store_true", help="every judgment and skip, with all columns"
        )
        parser.add_argument("--layout", default="explicit", choices=list(LAYOUTS))
        parser.add_argument("--shape", default="conversational", choices=list(SHAPES))
        parser.add_argument("--ties", action="store_true", help="write ties too, marked")

    def handle(self, **given: Any) -> None:
        console = Console()
        try:
            counts = _write(console, _line(given["line"]), given["path"], _options(given))
        except AnnotationError as error:
            raise CommandError(str(error)) from error
        rows = f"{counts.rows:,} {'row' if counts.rows == 1 else 'rows'}"
        console.print(f"{rows} written to {given['path']}.", soft_wrap=True, markup=False)
        for key, number in counts.to_json().items():
            if key != "rows":
                console.print(f"{EXPORT_COUNT_NAMES[key]}: {number:,}.", soft_wrap=True)


def _line(given: str | UUID) -> UUID:
    try:
        return UUID(str(given))
    except ValueError as error:
        raise CommandError(f"--line is {given!r}; give the line's id, a UUID.") from error


def _options(given: dict[str, Any]) -> ExportOptions:
    return ExportOptions(
        content="everything" if given["everything"] else "training",
        container=container_of(given["path"])[0],
        layout=given["layout"],
        shape=given["shape"],
        ties=given["ties"],
        campaigns=tuple(given["campaign"]),
    )


def _write(console: Console, line_id: UUID, path: Path, options: ExportOptions) -> ExportCounts:
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} rows"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("export", total=None)
        return export_to_file(
            line_id=line_id,
            path=path,
            options=options,
            tick=lambda rows: bar.update(task, completed=rows),
        )
