"""`manage.py health`: the checks of /health/ready, for processes that answer no requests."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from outerloop.operations.monitoring.health import readiness


class Command(BaseCommand):
    help = "Check database, migrations, broker and artifact store; end with 1 when one that matters fails."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        checks = readiness()
        for check in checks:
            how = "ok  " if check.ok else "BAD " if check.blocks else "note"
            self.stdout.write(f"{how} {check.name}: {check.says}")
        if not all(check.ready for check in checks):
            sys.exit(1)
