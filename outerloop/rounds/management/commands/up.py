"""`manage.py up`: site, workers, schedule and policy server in one terminal. What dies is started again;
Ctrl-C stops them all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from outerloop.embedded_postgres import server_stop
from outerloop.rounds.processes import process_lines
from outerloop.rounds.schedule import sweeper_ensure
from outerloop.rounds.supervising import run_processes


class Command(BaseCommand):
    help = "Start site, workers, schedule and policy server on what is in the database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port of the site")
        parser.add_argument("--host", default="127.0.0.1", help="address of the site")
        parser.add_argument(
            "--without",
            action="append",
            default=[],
            choices=["site", "worker", "gpu", "beat", "policy"],
            help="leave a process out (may be given more than once)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        sweeper_ensure()
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
        lines = [
            line
            for line in process_lines(host=options["host"], port=options["port"])
            if line.name not in options["without"]
        ]
        self.stdout.write(f"The site will be at http://{options['host']}:{options['port']}/")
        self.stdout.write("Ctrl-C stops everything.")
        code = run_processes(lines)
        if settings.USES_EMBEDDED_POSTGRES:
            server_stop()
        sys.exit(code)
