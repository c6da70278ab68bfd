"""Python's collector of cycles, kept out of the way of many rows."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Within it no cycles are collected: rows make none, and while thousands of them are held the collector
    would go through all of them and the whole program again and again, a third of the time of an import.
    Memory is freed all the same as soon as nothing refers to it."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
