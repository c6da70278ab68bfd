"""`manage.py postgres start|stop|status`: the embedded server, by hand."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from outerloop.embedded_postgres import (
    EmbeddedPostgresError,
    server_ensure,
    server_place,
    server_stop,
    server_url,
)


class Command(BaseCommand):
    help = "Start, stop or look at the embedded PostgreSQL server."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["start", "stop", "status"])

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.USES_EMBEDDED_POSTGRES:
            raise CommandError("DATABASE_URL is set: the embedded server is not used here.")
        try:
            self.stdout.write(self._act(options["act"]))
        except EmbeddedPostgresError as error:
            raise CommandError(str(error)) from error

    def _act(self, act: str) -> str:
        if act == "start":
            server_ensure()
        if act == "stop" and not server_stop():
            return "It was not running."
        place = server_place()
        state = "running" if place.running else "stopped"
        return f"The embedded PostgreSQL is {state}.\n  data  {place.data}\n  log   {place.log}\n  url   {server_url()}"
