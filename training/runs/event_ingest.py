"""Taking in what a child reports while it works: the complete new lines of its events file."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from training.contracts import ContractError, RunEvent

from .models import Run, RunEventRow

logger = logging.getLogger(__name__)

Beat = Callable[[RunEvent | None], None]
"""Told of each new event, and with None that the worker still looks after the run."""


@dataclass
class Tail:
    """How far the events file has been read."""

    path: Path
    offset: int = 0
    seen: set[int] = field(default_factory=set)


def events_ingest(run: Run, tail: Tail) -> list[RunEvent]:
    """Read the complete new lines of the events file and keep them; a repeated seq adds nothing.

    `tail` moves on only once they are kept: what the database did not take is read again.
    """
    if not tail.path.exists():
        return []
    with tail.path.open("rb") as file:
        file.seek(tail.offset)
        whole, newline, _ = file.read().rpartition(b"\n")
    events: dict[int, RunEvent] = {}
    for line in whole.split(b"\n") if newline else []:
        try:
            event = RunEvent.from_json(json.loads(line))
        except (ValueError, ContractError):
            logger.warning("run %s: an events line could not be read: %.200r", run.id, line)
            continue
        if event.seq not in tail.seen:
            events.setdefault(event.seq, event)
    rows = [RunEventRow(run=run, **vars(event)) for event in events.values()]
    RunEventRow.objects.bulk_create(rows, ignore_conflicts=True)
    tail.offset += len(whole) + len(newline)
    tail.seen |= events.keys()
    return list(events.values())
