"""`manage.py retention`: delete what the rule lets go, or show it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from outerloop.operations.backup.manifest import BackupError
from outerloop.operations.retention import (
    Plan,
    retention_carry_out,
    retention_plan,
    rule_of_settings,
)
from web.arguments import whole_number

MOST_ROUNDS, MOST_DAYS = 1_000_000, 36_500


class Command(BaseCommand):
    help = "Delete checkpoints, results and models that nothing needs any more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument(
            "--rounds",
            type=whole_number(1, MOST_ROUNDS),
            help="last rounds of each line to keep whole",
        )
        parser.add_argument(
            "--days",
            type=whole_number(1, MOST_DAYS),
            help="days for which everything is kept",
        )

    def handle(self, **options: Any) -> None:
        rule = rule_of_settings(rounds=options["rounds"], days=options["days"])
        console = Console()
        try:
            plan = (
                retention_plan(rule)
                if options["dry_run"]
                else retention_carry_out(rule=rule, actor="command")
            )
        except BackupError as error:
            raise CommandError(str(error)) from error
        if len(plan):
            console.print(_table(plan))
        done = "would be removed" if options["dry_run"] else "were removed"
        console.print(
            f"{len(plan)} things, {plan.bytes / 1e6:,.1f} MB, {done}. Kept: the last {rule.rounds}"
            f" rounds of each line, the last {rule.days} days, and whatever a deployment or a"
            " decision rests on.",
            soft_wrap=True,
            highlight=False,
        )


def _table(plan: Plan) -> Table:
    table = Table("kind", "what", "where", "MB", box=None)
    for item in plan.artifacts:
        table.add_row(item.kind, escape(item.name), escape(item.path), f"{item.bytes / 1e6:,.1f}")
    for path in plan.files:
        # After the act the file is gone, and its size with it.
        size = f"{path.stat().st_size / 1e6:,.1f}" if path.exists() else ""
        table.add_row("file", "of an import or export", escape(path.name), size)
    return table
