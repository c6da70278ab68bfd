"""Who runs which process of this installation: one locked file each, below var/run.

The lock is held by the supervisor and by the process itself, which inherits the open file. So it says
the truth after any kill: there is no pidfile that could be stale, and no number in it is relied on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from outerloop.embedded_postgres import server_place, server_stop

TRIES = 5


@dataclass(frozen=True)
class Holder:
    """What the holder of a lock says of itself; `address` is where a site answers."""

    process: int = 0
    supervisor: int = 0
    address: str = ""


class SharedLock:
    """`name` is held by one holder among all processes of this installation."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._file: IO[str] | None = None

    @property
    def path(self) -> Path:
        """One folder for each database: a checkout can hold several installations."""
        digest = hashlib.sha256(settings.DATABASE_URL.encode()).hexdigest()[:12]
        return Path(settings.VAR_DIR) / "run" / digest / self.name

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    @property
    def descriptor(self) -> int:
        """For a child that holds the lock as well."""
        assert self._file is not None, "take the lock first"
        return self._file.fileno()

    def take(self) -> bool:
        """Take the lock, unless somebody else has it; somebody who only looks is waited for."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+")
        for _ in range(TRIES):
            if _locked(file, fcntl.LOCK_EX):
                self._file = file
                return True
            time.sleep(0.01)
        file.close()
        return False

    def say(self, holder: Holder) -> None:
        """Write down who holds the lock, for whoever asks."""
        assert self._file is not None, "take the lock first"
        self._file.truncate(0)
        self._file.write(json.dumps(asdict(holder)))
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def holder(self) -> Holder | None:
        """Who holds the lock, in this process or another; None where nobody does."""
        try:
            with self.path.open("r") as file:
                if _locked(file, fcntl.LOCK_SH):
                    return None
                return Holder(**json.loads(file.read() or "{}"))
        except FileNotFoundError:
            return None


def _locked(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def database_used(*, stops: bool) -> Iterator[None]:
    """Use the embedded server; with `stops` it is stopped at the end, unless others use it still."""
    if not settings.USES_EMBEDDED_POSTGRES:
        yield
        return
    with (server_place().home / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield
        finally:
            if stops and _locked(users, fcntl.LOCK_EX):
                server_stop()


def mine(**more: str) -> Holder:
    """This very process as a holder."""
    return Holder(process=os.getpid(), supervisor=os.getpid(), **more)
