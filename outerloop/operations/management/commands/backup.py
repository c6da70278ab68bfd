"""`manage.py backup TARGET`: the database and the artifacts that it refers to, in one place."""

from __future__ import annotations

from argparse import ArgumentParser
from math import inf
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from outerloop.database.silence import database_patience
from outerloop.operations.backup.creation import backup_make
from outerloop.operations.backup.manifest import BackupError
from outerloop.operations.backup.progress import watched
from web.services import audit_record


class Command(BaseCommand):
    help = "Write the database and its artifacts to a new folder, or to one file (.tar)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("target", type=Path, help="new folder, or new file ending in .tar")
        parser.add_argument(
            "--leave-out-damaged",
            action="store_true",
            help="go on without artifacts that are missing or do not match their hash, and name them",
        )

    @database_patience(inf)
    def handle(self, **options: Any) -> None:
        console = Console()
        target: Path = options["target"]
        try:
            with watched(console) as watch:
                manifest, left_out = backup_make(
                    target=target, watch=watch, leave_out_damaged=options["leave_out_damaged"]
                )
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        rows = sum(table.rows for table in manifest.tables)
        audit_record(actor="command", verb="made backup", target=manifest.sha256[:12])
        for sentence in left_out:
            self.stderr.write(f"Left out: {sentence}")
        console.print(
            f"{target}: {rows:,} rows of {len(manifest.tables)} tables and"
            f" {len(manifest.artifacts):,} files, {manifest.bytes / 1e6:,.1f} MB.",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
