"""A bar on the terminal while bytes go by; Ctrl-C or SIGTERM stops the work cleanly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from .creation import Watch


@contextmanager
def watched(console: Console) -> Iterator[Watch]:
    """A `Watch` that draws, and that a signal cancels; the signals' own handlers come back after."""
    stopped = threading.Event()
    before = {number: _handle(number, stopped) for number in (signal.SIGINT, signal.SIGTERM)}
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            yield _drawing(bar, stopped)
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _handle(number: int, stopped: threading.Event) -> Any:
    if threading.current_thread() is not threading.main_thread():
        return None  # only the main thread may; called from a test's or a server's thread
    return signal.signal(number, lambda *_: stopped.set())


def _drawing(bar: Progress, stopped: threading.Event) -> Watch:
    task = bar.add_task("", total=None)

    def start(what: str, total: int) -> None:
        bar.reset(task, total=total, description=what)

    def advance(count: int) -> None:
        bar.advance(task, count)

    return Watch(on_start=start, on_bytes=advance, cancelled=stopped.is_set)
