"""The names of the policy lines, for rooms that hold a line as an opaque id.

The room that owns the lines registers where they are read from, in its `AppConfig.ready`:

    lines.register_source(lambda: [LineName(id=line.pk, name=line.name, url=...) for line in ...])
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LineName:
    id: uuid.UUID
    name: str
    url: str = ""


_source: list[Callable[[], Iterable[LineName]]] = []


def register_source(read: Callable[[], Iterable[LineName]]) -> None:
    """Say where the lines are read from; a second source replaces the first."""
    _source[:] = [read]


def line_names(allowed: set[uuid.UUID] | None = None) -> list[LineName]:
    """The lines by name; `allowed` is what `access.lines_of` returns (None: every line)."""
    found = [line for read in _source for line in read()]
    return sorted(
        (line for line in found if allowed is None or line.id in allowed),
        key=lambda line: line.name,
    )


def line_named(line_id: uuid.UUID) -> LineName:
    """The line, or the start of its id where nobody registered names."""
    found = {line.id: line for line in line_names()}
    return found.get(line_id, LineName(line_id, str(line_id)[:8]))


def line_name(line_id: uuid.UUID) -> str:
    return line_named(line_id).name
