"""What every artifact store can do. An artifact is named by its path, relative to the store, and its digest.

An artifact is a file or a folder that is never changed: `path` says what it is for (`runs/ID/policy`),
`sha256` what it holds (`training.digests`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all) at least once a second while something is on its way; what it raises stops it."""


def unwatched(done: int, total: int) -> None:
    """For callers whom nobody waits for."""


class StoreAway(RuntimeError):
    """The object storage does not answer, or refuses; the message says what to look at."""


class StoreMissing(RuntimeError):
    """The place is not the store that the database knows; the message says what to do."""


class StoreSettings(ValueError):
    """The store cannot be used as it is configured; the message names the setting and the fix."""


class Held(Protocol):
    """A copy on this machine that stays until it is released, or until this process ends."""

    @property
    def path(self) -> Path: ...
    def release(self) -> None: ...


@dataclass(frozen=True)
class KeptObjects:
    """What object storage keeps under one path and digest; not `whole`: an upload that has not ended.

    `modified` is when the last of it came."""

    path: str
    sha256: str
    bytes: int
    modified: datetime
    whole: bool


class ArtifactStore(Protocol):
    """Calls raise `DigestError` for content that is not what its digest says, or is not there, naming the
    file; and `StoreAway`."""

    @property
    def shared(self) -> bool:
        """Whether every machine sees the same folder, so that nothing is sent or fetched."""

    def keep(self, path: str, sha256: str, *, watch: Progress = unwatched) -> None:
        """Take what lies at this path on this machine into the store; nothing is sent twice."""

    def local(self, path: str, sha256: str, *, watch: Progress = unwatched) -> Path:
        """Where it lies on this machine, fetched and verified first where it has to be.

        Fetched copies make way for others after some minutes: for longer use there is `hold`."""

    def hold(self, path: str, sha256: str, *, watch: Progress = unwatched) -> Held:
        """The same, and it stays there until it is released."""

    def check(self, path: str, sha256: str) -> None:
        """Raise `DigestError` where the store does not hold all of it."""

    def has(self, path: str, sha256: str) -> bool:
        """Whether it is there, told without reading it."""

    def digest(self, path: str) -> str | None:
        """The digest of what is kept under this path; None where nothing is. The newest, if there are several."""

    def listed(self) -> Mapping[str, list[KeptObjects]]:
        """Path -> what is kept in object storage; empty for a folder, which can be looked at itself."""

    def remove(self, path: str) -> None:
        """Delete what is kept at and below this path, and copies on this machine."""

    def note_put(self, path: str, content: bytes) -> None:
        """Keep a small text that may change; the other machines read it with `note`."""

    def note(self, path: str) -> bytes:
        """Empty where there is none."""

    def enter(self, known: Mapping[str, str]) -> None:
        """Mark a new store; `known` are some of the artifacts (path -> digest) that the database refers to.

        Raises `StoreMissing` where none of them is there."""

    def problem(self) -> str:
        """Why the store cannot be used, in a sentence; empty where it can. Makes no folder."""

    def words(self) -> str:
        """Where it is, for people."""
