"""Connections to PostgreSQL that give up on a server from which nothing comes.

libpq bounds connecting, and keep-alives find a machine that is gone; neither finds a server that is
stopped, or a disk below it that hangs: there the kernel still acknowledges every packet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from psycopg.waiting import Ready

logger = logging.getLogger(__name__)

NOTHING = 0  # what psycopg sends to a generator when its connection was not ready
INTERVAL = 0.1
CANCEL_SECONDS = 1.0
# For what the address itself does not say.
CONNECTING = {
    "connect_timeout": 3,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

RV = TypeVar("RV")

_patience: ContextVar[tuple[float, str] | None] = ContextVar("database_patience", default=None)


@contextmanager
def database_patience(seconds: float, *, setting: str = "") -> Iterator[None]:
    """Within it the database may be silent for `seconds`, else for OUTERLOOP_DATABASE_SECONDS.

    `inf` is for statements that take as long as the tables are large. `setting` names where the seconds
    come from, for whoever meets their end.
    """
    token = _patience.set((seconds, setting))
    try:
        yield
    finally:
        _patience.reset(token)


class BoundedConnection(psycopg.Connection[Any]):
    """Its statements end with an OperationalError, and it closes, after too long a silence."""

    def wait(
        self,
        gen: Generator[Any, Any, RV],
        interval: float = INTERVAL,
        timeout: float | None = None,
    ) -> RV:
        own = float(settings.OUTERLOOP_DATABASE_SECONDS), "OUTERLOOP_DATABASE_SECONDS"
        seconds, setting = _patience.get() or own
        try:
            return super().wait(_bounded(gen, seconds, setting), interval, timeout)
        except SilenceError:
            with suppress(psycopg.Error):  # a server that is only slow stops working for nobody
                self.cancel_safe(timeout=CANCEL_SECONDS)
            self.close()
            raise


class SilenceError(psycopg.OperationalError):
    """Nothing came from the server for longer than this caller waits."""


def _bounded(gen: Generator[Any, Any, RV], seconds: float, setting: str) -> Generator[Any, Any, RV]:
    """`gen` itself, ended where its connection was not ready once in `seconds`."""
    until = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready: Ready | int = yield wanted
            if ready != NOTHING:
                until = time.monotonic() + seconds
            elif time.monotonic() > until:
                fix = f" Raise {setting} where a statement may take longer." if setting else ""
                raise SilenceError(f"PostgreSQL has been silent for {seconds:g} s.{fix}")
            wanted = gen.send(ready)
    except StopIteration as end:
        result: RV = end.value
        return result
