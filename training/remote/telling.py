"""What the site is told while a program works: its events, the end of its log, and what is in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .directory import Listing, directory_listed, directory_staged, staged_units
from .objects import sent
from .site import Away, Site

LINES, BYTES = 500, 1_000_000
LOG_BYTES = 60_000


@dataclass
class Events:
    """RUN/events.jsonl from `offset` on."""

    path: Path
    offset: int = 0

    def read(self) -> Stretch:
        """As many complete new lines as one message holds."""
        if not self.path.exists():
            return Stretch([], self.offset, more=False)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            content = file.read(BYTES)
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        events = []
        for line in lines[:LINES]:
            with suppress(ValueError):
                events.append(json.loads(line))
        more = bool(lines) and (len(content) == BYTES or len(lines) > LINES)
        return Stretch(events, self.offset + sum(map(len, lines[:LINES])), more)


class Stretch(NamedTuple):
    """`offset`: where the first line after them begins; `more`: there are some."""

    events: list[Any]
    offset: int
    more: bool


@dataclass
class SiteTelling:
    """`begun` is which beginning of the attempt this is. `tree`: what the site knows to be in the store, and
    `next_tree` what is, and is to be announced. `listing` is what lay in the run directory then."""

    site: Site
    run: Path
    stored: str
    begun: int
    events: Events
    tree: dict[str, str]
    next_tree: dict[str, str] | None = None
    listing: Listing | None = None
    log: str = ""

    def tell(self, end: Mapping[str, Any] | None = None) -> bool:
        """Everything new, then how it ended; whether the program is to stop. Raises `SiteRefused`, `Away`.

        A checkpoint is announced after what happened before it: whoever goes on from it counts on from there.
        """
        tree = self.next_tree
        while True:
            stretch, log = self.events.read(), log_end(self.run)
            message: dict[str, Any] = {"begun": self.begun, "events": stretch.events}
            message |= {"log": log} if log != self.log else {}
            if not stretch.more:
                message |= {"tree": tree} if tree is not None else {}
                message |= {"end": end} if end is not None else {}
            stop = bool(self.site.call("tell", message).get("stop"))
            self.events.offset, self.log = stretch.offset, log
            if not stretch.more:
                break
        if tree is not None:
            self.tree, self.next_tree = tree, None
        return stop

    def send(self) -> None:
        """Bring what changed to the store, to be announced with the next message. Raises `SiteRefused`, `Away`."""
        if self.next_tree is not None or self.sent_whole():
            return
        try:
            listing = directory_staged(self.run)
            if listing is None:
                return  # it is being written: another time
            self.next_tree = sent(self.site, staged_units(self.run, self.stored), self.tree)
        except OSError as error:  # a full disk, say
            raise Away(f"what the program wrote cannot be read ({error})") from error
        self.listing = listing

    def sent_whole(self) -> bool:
        try:
            return directory_listed(self.run) == self.listing
        except FileNotFoundError:  # something goes while we look
            return False


def log_end(run: Path) -> str:
    path = run / "child.log"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read().decode(errors="replace").replace("\0", "")
