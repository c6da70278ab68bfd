"""The events file of a run: JSON lines, numbered without a gap across attempts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from training.contracts import RunEvent


@dataclass
class EventLog:
    """Appends events; `earlier_seconds` is the time that attempts before this one spent."""

    stream: BinaryIO | None
    last_seq: int
    earlier_seconds: float

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, writable: bool) -> Iterator[Self]:
        if not writable:
            yield cls(None, 0, 0.0)
            return
        events = events_recover(path)
        last_seq = events[-1].seq if events else 0
        with path.open("ab", buffering=0) as stream:
            yield cls(stream, last_seq, _seconds_spent(events))

    def append(self, event: RunEvent) -> None:
        if self.stream is not None:
            line = json.dumps(event.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
            self.stream.write(line.encode())
        self.last_seq = event.seq


def events_recover(path: Path) -> list[RunEvent]:
    """Read all whole lines, and cut off the torn one that a kill may have left at the end."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as stream:
            stream.truncate(len(whole))
    return [RunEvent.from_json(json.loads(line)) for line in whole.splitlines() if line.strip()]


def _seconds_spent(events: list[RunEvent]) -> float:
    """Sum over attempts of the time from its "start" event to its last event."""
    seconds, begin, last = 0.0, None, None
    for event in events:
        at = datetime.fromisoformat(event.at)
        if event.phase == "start":
            if begin is not None and last is not None:
                seconds += (last - begin).total_seconds()
            begin = at
        last = at
    if begin is not None and last is not None:
        seconds += (last - begin).total_seconds()
    return seconds
