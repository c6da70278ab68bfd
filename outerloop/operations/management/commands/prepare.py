"""`manage.py prepare`: what an installation needs beside its tables, made once and harmless again."""

from __future__ import annotations

from math import inf
from typing import Any

from django.core.management.base import BaseCommand

from outerloop.database.silence import database_patience
from outerloop.processes.preparing import installation_enter


class Command(BaseCommand):
    help = "Enter the periodic tasks and mark the artifact store; to be run after migrate."

    @database_patience(inf)
    def handle(self, **options: Any) -> None:
        installation_enter()
        self.stdout.write("The sweeper is in the schedule and the artifact store is marked.")
