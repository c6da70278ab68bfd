"""`manage.py restore SOURCE`: bring a backup back into an empty database and artifact store."""

from __future__ import annotations

from argparse import ArgumentParser
from math import inf
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from outerloop.database.silence import database_patience
from outerloop.operations.backup.manifest import BackupError, Manifest
from outerloop.operations.backup.progress import watched
from outerloop.operations.backup.restoration import backup_restore, backup_verify
from web.services import audit_record


class Command(BaseCommand):
    help = "Bring a backup into an empty database and artifact store, or only verify it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, help="folder or .tar file that backup wrote")
        parser.add_argument(
            "--verify", action="store_true", help="only compare everything with its hash"
        )
        parser.add_argument(
            "--no-migrate",
            action="store_true",
            help="leave the database at the release of the backup",
        )

    @database_patience(inf)
    def handle(self, **options: Any) -> None:
        console = Console()
        source: Path = options["source"]
        try:
            with watched(console) as watch:
                if options["verify"]:
                    manifest = backup_verify(path=source, watch=watch)
                else:
                    manifest = backup_restore(
                        path=source, watch=watch, migrate=not options["no_migrate"]
                    )
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        if not options["verify"] and not options["no_migrate"]:
            audit_record(actor="command", verb="restored backup", target=manifest.sha256[:12])
        done = "is whole" if options["verify"] else "is restored"
        said = f"{source} {done}: {_facts(manifest)}."
        console.print(said, soft_wrap=True, highlight=False, markup=False)


def _facts(manifest: Manifest) -> str:
    rows = sum(table.rows for table in manifest.tables)
    return f"{rows:,} rows and {len(manifest.artifacts):,} files of {manifest.made_at}"
