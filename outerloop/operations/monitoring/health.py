"""Whether this process can do its work: database, migrations, sweeper, broker, artifact store.

The answers name what is wrong and nothing more, because anybody may ask; the reason is logged. What is
asked may hang, so each group of checks has a thread of its own and little time; a thread that hangs is
waited for by nobody, and no second one is started beside it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from threading import Lock, Thread

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from outerloop.broker import broker_connection
from outerloop.database.replica import configured, replica
from outerloop.database.silence import database_patience
from outerloop.rounds.schedule import sweepers_missing
from training import facade as training

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.5
# Callers within this time are given one answer, so that asking cannot wear anything out.
FRESH_SECONDS = 3.0
# An older answer is worth waiting for a new one, which somebody else is just getting.
STALE_SECONDS = 30.0
ONLY_TOLD = {"replica"}  # also where it is silent
REPLICA_LEFT = "It is away or too far behind and not read; see manage.py doctor."


@dataclass(frozen=True)
class HealthCheck:
    """`blocks`: where it fails, no request can be answered rightly; else it is only told."""

    name: str
    ok: bool
    says: str
    blocks: bool = True

    @property
    def ready(self) -> bool:
        return self.ok or not self.blocks


def database_check() -> HealthCheck:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return _bad("database", "PostgreSQL does not answer.", error)
    return HealthCheck("database", True, "answers")


def migrations_check() -> HealthCheck:
    try:
        waiting, unknown = migrations_apart()
    except DatabaseError as error:
        return _bad("migrations", "They cannot be read.", error)
    if waiting:
        return HealthCheck("migrations", False, f"{waiting} wait; run manage.py migrate.")
    if unknown:
        says = f"The database is newer than this code, by {unknown}; bring the code up to date."
        # The code of before goes on answering while it is replaced, process by process.
        return HealthCheck("migrations", False, says, blocks=False)
    return HealthCheck("migrations", True, "all applied")


def migrations_apart() -> tuple[int, int]:
    """How many migrations wait, and how many were applied that the installed code does not know.

    Of apps that are no longer installed nothing is said: their rows stay for ever.
    """
    known = _migrations_known()
    applied = MigrationRecorder(connection).applied_migrations().keys()
    ours = {app for app, _ in known}
    return len(known - applied), len({row for row in applied if row[0] in ours} - known)


@cache
def _migrations_known() -> frozenset[tuple[str, str]]:
    """(app, name) of every migration of the installed code; reading them is slow, so it is done once."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    assert loader.disk_migrations is not None
    replaced = {key for each in loader.disk_migrations.values() for key in each.replaces}
    return frozenset(loader.disk_migrations) | frozenset(replaced)


def sweeper_check() -> HealthCheck:
    """Without the sweeper a lost message or a dead worker stops a round for ever; pages come all the same."""
    try:
        missing = sweepers_missing()
    except DatabaseError as error:
        return _bad("sweeper", "The schedule cannot be read.", error)
    if missing:
        says = (
            f"{', '.join(missing)} not in the schedule, or switched off; run manage.py prepare, or"
            " switch it on again."
        )
        return HealthCheck("sweeper", False, says, blocks=False)
    return HealthCheck("sweeper", True, "is in the schedule")


def broker_check() -> HealthCheck:
    if settings.CELERY_BROKER_URL.startswith("sqla+"):  # the database, which has a check of its own
        return HealthCheck("broker", True, "is the database")
    try:
        with broker_connection() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=LOOK_SECONDS)
    except Exception as error:  # every transport has errors of its own
        return _bad("broker", "It does not answer; see CELERY_BROKER_URL.", error)
    return HealthCheck("broker", True, "answers")


def store_check() -> HealthCheck:
    problem = training.store_problem()
    if problem:
        says = "It is not there or cannot be written; see OUTERLOOP_ARTIFACTS and manage.py doctor."
        return _bad("artifact store", says, problem)
    return HealthCheck("artifact store", True, "can be written")


def replica_check() -> HealthCheck:
    """Without it pages of history come from the database itself."""
    standing = replica.standing()
    says = "is close behind" if standing.usable else REPLICA_LEFT
    return HealthCheck("replica", standing.usable, says, blocks=False)


def _bad(name: str, says: str, error: object) -> HealthCheck:
    logger.error("The check %r failed: %s", name, error)
    return HealthCheck(name, False, says)


Check = Callable[[], HealthCheck]
# By what they ask: the checks of one group are made one after the other, the groups side by side.
GROUPS: tuple[dict[str, Check], ...] = (
    {"database": database_check, "migrations": migrations_check, "sweeper": sweeper_check},
    {"broker": broker_check},
    {"artifact store": store_check},
    *([{"replica": replica_check}] if configured() else []),
)


class Look:
    """One group of checks in a thread of its own."""

    def __init__(self, checks: dict[str, Check]) -> None:
        self.checks = checks
        self.made: dict[str, HealthCheck] = {}
        self.thread = Thread(target=self._run, name="health", daemon=True)

    def _run(self) -> None:
        try:
            with database_patience(LOOK_SECONDS):
                for name, check in self.checks.items():
                    self.made[name] = check()
        finally:
            connections.close_all()

    def answers(self) -> list[HealthCheck]:
        silent = f"No answer within {LOOK_SECONDS:g} s."
        return [
            self.made.get(name) or HealthCheck(name, False, silent, blocks=name not in ONLY_TOLD)
            for name in self.checks
        ]


@dataclass
class Readiness:
    """Every check: at most once in `FRESH_SECONDS`, by one caller at a time, within `LOOK_SECONDS`.

    Whoever comes while another looks is given the last answer, and waits only where that is old.
    """

    clock: Callable[[], float] = time.monotonic
    groups: tuple[dict[str, Check], ...] = GROUPS
    made_at: float = float("-inf")
    checks: tuple[HealthCheck, ...] = ()
    _looking: Lock = field(default_factory=Lock)
    _hanging: dict[int, Look] = field(default_factory=dict)

    def __call__(self) -> tuple[HealthCheck, ...]:
        if self._age() <= FRESH_SECONDS:
            return self.checks
        if not self._looking.acquire(timeout=LOOK_SECONDS if self._age() > STALE_SECONDS else 0):
            return self.checks or (HealthCheck("checks", False, "They are being made."),)
        try:
            if self._age() > FRESH_SECONDS:
                self.checks = self._look()
                self.made_at = self.clock()
            return self.checks
        finally:
            self._looking.release()

    def _age(self) -> float:
        return self.clock() - self.made_at

    def _look(self) -> tuple[HealthCheck, ...]:
        looks = [self._started(number) for number in range(len(self.groups))]
        until = time.monotonic() + LOOK_SECONDS
        for look in looks:
            look.thread.join(max(0.0, until - time.monotonic()))
        return tuple(check for look in looks for check in look.answers())

    def _started(self, number: int) -> Look:
        """A new look, or the one that hangs since an earlier question."""
        hanging = self._hanging.get(number)
        if hanging is not None and hanging.thread.is_alive():
            return hanging
        look = self._hanging[number] = Look(self.groups[number])
        look.thread.start()
        return look


readiness = Readiness()
