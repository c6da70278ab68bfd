"""`manage.py erase_signals USER`: what a user of the deployed policy said of its answers goes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.signals.services import signals_erase


class Command(BaseCommand):
    help = (
        "Erase the signals of a user of the deployed policy, and the answers that they are about."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="`user` as it was sent with the feedback")

    def handle(self, **options: Any) -> None:
        if not options["user"].strip():
            raise CommandError("USER is empty: give it as it was sent with the feedback.")
        count = signals_erase(user=options["user"], actor="command")
        self.stdout.write(f"Erased {count} signals. Backups made before still hold them.")
