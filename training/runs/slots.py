"""What the run page is told from above: the round that a run belongs to, which this room cannot know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class RoundLink:
    """A round by name, its page, and where a POST cancels it (empty: it is over)."""

    name: str
    url: str
    cancel_url: str = ""


_source: list[Callable[[UUID], RoundLink | None]] = []


def run_round_slot(read: Callable[[UUID], RoundLink | None]) -> None:
    """Say where rounds are found by their id; a second source replaces the first."""
    _source[:] = [read]


def round_link(round_id: UUID | None) -> RoundLink | None:
    if round_id is None or not _source:
        return None
    return _source[0](round_id)
