"""Who holds a run directory: one living program by its lock, one attempt by its fencing token."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class RunHeld(Exception):
    """The run directory belongs to another attempt; nothing may be written."""


@contextmanager
def directory_lock(directory: Path, *, wait: float, main: bool) -> Iterator[None]:
    """Hold RUN/lock (main process only); raises `RunHeld` where another program keeps it."""
    if not main:
        yield
        return
    with (directory / "lock").open("a") as stream:
        _lock_take(stream, directory, time.monotonic() + wait)
        yield


def _lock_take(stream: IO[str], directory: Path, deadline: float) -> None:
    """An attempt with a token waits a moment: the one before it ends when it loses its worker."""
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise RunHeld(f"{directory} is held by another running program.") from None
            time.sleep(0.1)


def fence_check(directory: Path, token: int) -> None:
    """Raise `RunHeld` unless RUN/fence says `token`."""
    try:
        fence = (directory / "fence").read_text().strip()
    except FileNotFoundError:
        fence = "(none)"
    if fence != str(token):
        raise RunHeld(
            f"{directory}: this attempt carries token {token}, but the fence says {fence}; "
            "a newer attempt owns the directory."
        )
