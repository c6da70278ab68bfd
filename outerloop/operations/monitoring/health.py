"""Whether this process can do its work: database, migrations, broker, artifact store.

The answers name what is wrong and nothing more, because anybody may ask; the reason is logged.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from kombu import Connection

logger = logging.getLogger(__name__)

BROKER_SECONDS = 3.0
# Several callers within this time are given one answer, so that asking cannot wear the database out.
FRESH_SECONDS = 1.0


@dataclass(frozen=True)
class HealthCheck:
    name: str
    ok: bool
    says: str


def database_check() -> HealthCheck:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return _bad("database", "PostgreSQL does not answer.", error)
    return HealthCheck("database", True, "answers")


def migrations_check() -> HealthCheck:
    try:
        applied = MigrationRecorder(connection).applied_migrations()
    except DatabaseError as error:
        return _bad("migrations", "They cannot be read.", error)
    waiting = len(_migrations_known() - applied.keys())
    if waiting:
        return HealthCheck("migrations", False, f"{waiting} wait; run manage.py migrate.")
    return HealthCheck("migrations", True, "all applied")


@cache
def _migrations_known() -> frozenset[tuple[str, str]]:
    """(app, name) of every migration of the installed code; reading them is slow, so it is done once."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    assert loader.disk_migrations is not None
    return frozenset(loader.disk_migrations)


def broker_check() -> HealthCheck:
    url = settings.CELERY_BROKER_URL
    if url.startswith("sqla+"):  # the database, which has a check of its own
        return HealthCheck("broker", True, "is the database")
    try:
        with Connection(url, connect_timeout=BROKER_SECONDS) as broker:
            broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except Exception as error:  # every transport has errors of its own
        return _bad("broker", "It does not answer; see CELERY_BROKER_URL.", error)
    return HealthCheck("broker", True, "answers")


def store_check() -> HealthCheck:
    root = Path(settings.ARTIFACT_ROOT)
    probe = root / f".probe-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return _bad("artifact store", "It cannot be written; see OUTERLOOP_ARTIFACTS.", error)
    return HealthCheck("artifact store", True, "can be written")


def _bad(name: str, says: str, error: Exception) -> HealthCheck:
    logger.error("The check %r failed: %s", name, error)
    return HealthCheck(name, False, says)


CHECKS: tuple[Callable[[], HealthCheck], ...] = (
    database_check,
    migrations_check,
    broker_check,
    store_check,
)


def readiness() -> tuple[HealthCheck, ...]:
    """Every check, made now."""
    return tuple(check() for check in CHECKS)


class Readiness:
    """Every check, made at most once in `FRESH_SECONDS` in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.made_at = float("-inf")
        self.checks: tuple[HealthCheck, ...] = ()

    def __call__(self) -> tuple[HealthCheck, ...]:
        if self.clock() - self.made_at > FRESH_SECONDS:
            self.checks = readiness()
            self.made_at = self.clock()
        return self.checks
