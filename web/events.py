"""What happens, told to whoever listens: a room tells of it, and imports nobody who does.

A room registers the kinds of event that it tells of (`EventKind`) and calls `event_tell` in the transaction
of the change; a listener registers an `EventSink`, which writes down in that same transaction what is to be
done. Kinds and data are met by programs outside: what was given once keeps its name and meaning. No event
names a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from .registry import EventKind, EventSink, registered

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Event:
    """`url` is the path of its page; events of the same `key` are one."""

    kind: str
    line_id: UUID
    data: Mapping[str, Plain] = field(default_factory=dict)
    url: str = ""
    key: str = ""


def event_tell(event: Event) -> None:
    """Hand the event to every listener; to be called inside the transaction of what happened."""
    if event.kind not in {kind.key for kind in registered(EventKind)}:
        raise ValueError(f"No room has registered the event {event.kind!r}.")
    for sink in registered(EventSink):
        sink.take(event)
