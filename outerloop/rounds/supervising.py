"""Keeping the processes of an installation alive: what is killed is started again, the embedded
PostgreSQL included.

A process that ends as soon as it was first started has a wrong setting, and one that ends again and
again has a defect: then everything is ended, with its exit code, as a person at the terminal expects.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Process

from django.conf import settings
from honcho.manager import Manager

from outerloop.embedded_postgres import EmbeddedPostgresError, server_ensure, server_place

from .processes import ProcessLine

SETTLED_SECONDS = 10.0
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
DATABASE_LOOK_SECONDS = 2.0


def run_processes(lines: list[ProcessLine]) -> int:
    """Run until Ctrl-C comes, or one cannot be kept alive; then all are ended. The exit code."""
    keeper = Keeper(database_keep if settings.USES_EMBEDDED_POSTGRES else None)
    for line in lines:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **line.environment}
        keeper.add_process(line.name, line.shell, env=environment, cwd=str(settings.BASE_DIR))
    keeper.loop()
    return int(keeper.returncode or 0)


def database_keep() -> str:
    """Start the embedded server where it has died; what there is to say about it."""
    if server_place().running:
        return ""
    try:
        server_ensure()
    except EmbeddedPostgresError as error:
        return f"PostgreSQL had died and could not be started: {error}"
    return "PostgreSQL had died and was started again"


@dataclass
class Life:
    """When a process was last started, how often in a row it ended at once, when it starts again."""

    started_at: float
    first: bool = True
    short: int = 0
    again_at: float | None = None

    def ended(self, now: float) -> bool:
        """Plan the next start; False where there shall be none."""
        short = now - self.started_at < SETTLED_SECONDS
        self.short = self.short + 1 if short else 0
        if (short and self.first) or self.short >= len(PAUSES):
            return False
        self.again_at = now + PAUSES[self.short]
        return True

    def begin(self, now: float) -> None:
        self.started_at, self.again_at, self.first = now, None, False


class Keeper(Manager):  # type: ignore[misc]
    """honcho's manager, which ends all as soon as one has ended, taught to start that one again."""

    def __init__(self, database: Callable[[], str] | None = None) -> None:
        super().__init__()
        self.database = database
        self.database_at = time.monotonic() + DATABASE_LOOK_SECONDS
        self.lives: dict[str, Life] = {}
        self.ending = False

    def terminate(self) -> None:
        """End all, but not while one is just starting: it has no number yet that could be signalled."""
        self.ending = True
        if super()._all_started():
            super().terminate()

    def _all_started(self) -> bool:
        started = bool(super()._all_started())
        if started and self.ending:
            super().terminate()
        return started

    def _all_stopped(self) -> bool:
        return self._terminating and bool(super()._all_stopped())

    def _any_stopped(self) -> bool:
        """Asked by the loop at every turn: True ends everything."""
        if self._terminating:
            return bool(super()._any_stopped())
        now = time.monotonic()
        self._database_look(now)
        return not all(self._kept(name, now) for name in self._processes)

    def _database_look(self, now: float) -> None:
        if self.database is None or now < self.database_at:
            return
        if says := self.database():
            self._system_print(f"{says}\n")
        self.database_at = time.monotonic() + DATABASE_LOOK_SECONDS

    def _kept(self, name: str, now: float) -> bool:
        """Whether the process runs, or will again."""
        life = self.lives.setdefault(name, Life(now))
        if self._processes[name].get("returncode") is None:
            return True
        if life.again_at is None:
            return life.ended(now)
        if now >= life.again_at:
            life.begin(now)
            self._begin(name)
        return True

    def _begin(self, name: str) -> None:
        entry = self._processes[name]
        for key in ("pid", "returncode"):
            entry.pop(key, None)
        self.returncode = None
        self._system_print(f"{name} is started again\n")
        entry["process"] = Process(name=name, target=entry["obj"].run, args=(self.events, True))
        entry["process"].start()
