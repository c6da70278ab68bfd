"""A standby that answers reads of history, as long as it is there and close behind.

How far it is behind is measured against the primary: where the standby has replayed what the primary had
written at some moment, it is no older than that moment. So an idle primary is no lag, and a standby that lost
its primary is one, which the standby's own clock (`pg_last_xact_replay_timestamp`) tells neither of.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.utils import Error as DatabaseError
from django.db.utils import InterfaceError

from web.history import reading

from .silence import database_patience

logger = logging.getLogger(__name__)

ALIAS = "replica"
LOOK_SECONDS = 2.0  # between two looks
AWAY_SECONDS = 10.0  # after one in vain, which may have taken as long as connecting does
PATIENCE_SECONDS = 1.0
FRESH_SECONDS = 5.0  # so long is waited for what was just written
# What may be read there: history. Who may see what, sessions, notices and jobs are read where they are written.
APPS = {
    "campaigns", "comparisons", "gates", "judges", "quality", "reports", "rounds", "runs", "signals",
}  # fmt: skip
MODELS = {"web.auditevent"}

PRIMARY = "SELECT system_identifier, pg_current_wal_flush_lsn() - '0/0' FROM pg_control_system()"
STANDBY = """
SELECT system_identifier, pg_is_in_recovery(), pg_last_wal_replay_lsn() - '0/0',
       extract(epoch FROM now() - pg_last_xact_replay_timestamp())
FROM pg_control_system()
"""


@dataclass(frozen=True)
class ReplicaStanding:
    """Whether the replica may be read, in words why, and by how many seconds it is behind (None: unknown)."""

    usable: bool
    says: str
    lag: float | None = None


def configured() -> bool:
    return ALIAS in settings.DATABASES


@dataclass
class Replica:
    """What this process knows of it: one look at most every `LOOK_SECONDS`, by one thread at a time."""

    clock: Callable[[], float] = time.monotonic
    _standing: ReplicaStanding = ReplicaStanding(False, "It has not been asked yet.")
    _again_at: float = float("-inf")
    _looking: Lock = field(default_factory=Lock)
    # When the primary had written how much, newest last.
    _written: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=300))

    def standing(self) -> ReplicaStanding:
        if self.clock() < self._again_at or not self._looking.acquire(blocking=False):
            return self._standing
        try:
            before, self._standing = self._standing, self._look()
            if before.usable != self._standing.usable:
                logger.warning("Reads of history: %s", self._standing.says)
            wait = LOOK_SECONDS if self._standing.lag is not None else AWAY_SECONDS
            self._again_at = self.clock() + wait
            return self._standing
        finally:
            self._looking.release()

    def failed(self, error: Exception) -> None:
        """It broke in the middle of a reading: nobody tries it for a while."""
        logger.warning("The replica failed, the database itself is read: %s", error)
        self._standing = ReplicaStanding(False, _away(error))
        self._again_at = self.clock() + AWAY_SECONDS
        with suppress(DatabaseError, InterfaceError):
            connections[ALIAS].close()

    def fresh(self) -> bool:
        """Whether it has everything that is written now; waits a moment for it."""
        if not self.standing().usable:
            return False
        try:
            with database_patience(PATIENCE_SECONDS):
                _, target = _row(DEFAULT_DB_ALIAS, PRIMARY)
                until = self.clock() + FRESH_SECONDS
                while _row(ALIAS, STANDBY)[2] < target:
                    if self.clock() > until:
                        return False
                    time.sleep(0.05)
        except (DatabaseError, InterfaceError) as error:
            self.failed(error)
            return False
        return True

    def _look(self) -> ReplicaStanding:
        try:
            with database_patience(PATIENCE_SECONDS):
                now = self.clock()
                server, written = _row(DEFAULT_DB_ALIAS, PRIMARY)
                same, standby, replayed, since = _row(ALIAS, STANDBY)
        except (DatabaseError, InterfaceError) as error:
            return ReplicaStanding(False, _away(error))
        if same != server:
            return ReplicaStanding(False, "DATABASE_REPLICA_URL leads to a copy of another server.")
        if not standby:
            return ReplicaStanding(
                False, "DATABASE_REPLICA_URL leads to no standby, but to a server that writes."
            )
        self._written.append((now, int(written)))
        lag = self._lag(now, int(replayed or 0), since)
        most = settings.OUTERLOOP_REPLICA_SECONDS
        if lag > most:
            says = f"It is {lag:.0f} s behind, more than OUTERLOOP_REPLICA_SECONDS ({most})."
            return ReplicaStanding(False, says, lag)
        return ReplicaStanding(True, f"It is {lag:.0f} s behind.", lag)

    def _lag(self, now: float, replayed: int, since: Any) -> float:
        """Seconds since the last moment known at which the primary had written no more than was replayed."""
        known = [at for at, written in self._written if written <= replayed]
        return now - known[-1] if known else float(since or 0.0)


def _is_history(meta: Any) -> bool:
    """Of a model, or of the cache's table, which has no label."""
    return meta.app_label in APPS or getattr(meta, "label_lower", "") in MODELS


def _row(alias: str, query: str) -> Any:
    with connections[alias].cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def _away(error: Exception) -> str:
    said = (str(error).strip() or repr(error)).splitlines()[0]
    return f"It does not answer: {said}"


replica = Replica()


class HistoryRouter:
    """Reads of history go to the replica; everything else, and every write, to the database itself."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        read = reading()
        if read is None or not configured():
            return None
        if not _is_history(model._meta):
            return None
        if read.alias is None:  # once for a reading, so that all of it is of one place
            read.alias, read.failed = "", replica.failed
            if replica.fresh() if read.fresh else replica.standing().usable:
                read.alias = ALIAS
        return read.alias or None

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == DEFAULT_DB_ALIAS
