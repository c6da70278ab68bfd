"""How far a push is, between the thread that sends and the one that writes it down."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from web.jobs import JobCancelled, job_heard

from .models import Push

LOOK_SECONDS = 1.0

Sending = Callable[["PushWatch"], str]


@dataclass
class PushWatch:
    """`done` of `total` bytes have been sent; `stopped`, the next piece that is read raises `JobCancelled`."""

    done: int = 0
    total: int = 0
    stopped: Event = field(default_factory=Event)

    def at(self, done: int) -> None:
        if self.stopped.is_set():
            raise JobCancelled
        self.done = done


class WatchedFile(io.BufferedReader):
    """A file that tells how far it was read, once it is `sent`: to make its digest it is read before."""

    def __init__(self, path: Path, watch: PushWatch, before: int) -> None:
        super().__init__(io.FileIO(path))
        self.watch, self.before, self.sent = watch, before, False

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.watch.at(self.before + (self.tell() if self.sent else 0))
        return piece


def watched(push: Push, watch: PushWatch, sending: Sending) -> str:
    """Let `sending` work in a thread, which touches no database, and write down every second how far it is.

    Returns what it returns. `JobCancelled` when the push was asked to stop; what is on its way ends first.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="push") as pool:
        future = pool.submit(sending, watch)
        try:
            while True:
                try:
                    return future.result(timeout=LOOK_SECONDS)
                except NotYet:
                    if future.done():
                        raise
                    job_heard(push, bytes_done=watch.done, bytes_total=watch.total)
        except BaseException:
            watch.stopped.set()
            raise
