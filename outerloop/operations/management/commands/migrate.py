"""Django's `migrate`, which may take as long as it takes: an index of a large table is built in silence."""

from __future__ import annotations

from math import inf
from typing import Any

from django.core.management.commands import migrate

from outerloop.database.silence import database_patience


class Command(migrate.Command):
    @database_patience(inf)
    def handle(self, *args: Any, **options: Any) -> Any:
        return super().handle(*args, **options)
