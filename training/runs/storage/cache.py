"""Copies of artifacts on this machine, as many as its limit allows: the one unused for longest goes first.

They lie where a folder store would have them, so that a program finds its inputs at the same place. A stamp
beside them says what is a copy: only that ever goes, never what a run is still making. Who needs a copy for
longer holds a lock on it; what has just been used stays too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote
from uuid import uuid4

from web.files import file_write

logger = logging.getLogger(__name__)

FOLDER = ".outerloop-cache"
PLACE_LENGTH = 16
SHORT_USE_SECONDS = 600.0  # who asks where a copy is may read it so long without a lock


@dataclass(frozen=True)
class Copy:
    path: str
    sha256: str
    bytes: int
    used: float


class Lock:
    """A lock on one path of the cache, let go when it is closed or its process ends."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def close(self) -> None:
        self.file.close()


class Cache:
    """`limit` is in bytes, 0 for none. `needed` names the paths that waiting and running programs read. `place`
    is where they are copies from: a copy from one bucket counts for nothing in another."""

    def __init__(
        self, root: Path, limit: int, needed: Callable[[], Set[str]], *, place: str
    ) -> None:
        self.root, self.limit, self.needed = root, limit, needed
        self.folder = root / FOLDER / hashlib.sha256(place.encode()).hexdigest()[:PLACE_LENGTH]

    def lock(self, path: str, *, shared: bool, wait: bool = True) -> Lock | None:
        """None where another process has it and we do not wait."""
        place = self.folder / "locks" / quote(path, safe="")
        place.parent.mkdir(parents=True, exist_ok=True)
        file = place.open("a+")
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.flock(file, how)
        except OSError:
            file.close()
            return None
        return Lock(file)

    @contextmanager
    def locked(self, path: str) -> Iterator[None]:
        lock = self.lock(path, shared=False)
        assert lock is not None
        try:
            yield
        finally:
            lock.close()

    def stamp(self, path: str, sha256: str, size: int) -> None:
        """What lies at `path` is a copy of what is kept, used now."""
        document = {"sha256": sha256, "bytes": size}
        file_write(self._stamp(path), json.dumps(document), durable=False)

    def copy(self, path: str) -> Copy | None:
        stamp = self._stamp(path)
        try:
            document = json.loads(stamp.read_text())
            used = stamp.stat().st_mtime
            found = Copy(path, str(document["sha256"]), int(document["bytes"]), used)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if (self.root / path).exists() else None

    def used(self, path: str) -> None:
        with suppress(OSError):
            os.utime(self._stamp(path))

    def copies(self) -> list[Copy]:
        """All of them, the one unused for longest first."""
        names = [unquote(each.name) for each in (self.folder / "stamps").glob("[!.]*")]
        found = [copy for name in names if (copy := self.copy(name)) is not None]
        return sorted(found, key=lambda copy: copy.used)

    def arriving(self, path: str, sha256: str) -> Path:
        """Where a copy is put together; what a kill leaves there is gone on with."""
        return self.folder / "arriving" / f"{quote(path, safe='')}@{sha256}"

    def put(self, path: str, arrived: Path) -> None:
        """Move a whole copy to its place; what was there goes. Hold the lock."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self.drop(path)
        arrived.rename(target)

    def drop(self, path: str) -> None:
        """Remove what lies there: out of sight first, so that nobody finds a half of it. Hold the lock."""
        self._stamp(path).unlink(missing_ok=True)
        aside = self.folder / "gone" / uuid4().hex
        aside.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            (self.root / path).rename(aside)
            _delete(aside)

    def room_make(self, wanted: int) -> None:
        """Let copies go until `wanted` more bytes fit below the limit, as far as none in use must go."""
        if not self.limit:
            return
        copies = self.copies()
        left = sum(copy.bytes for copy in copies) + wanted - self.limit
        if left <= 0:
            return
        needed, fresh = self.needed(), time.time() - SHORT_USE_SECONDS
        for copy in copies:
            if left > 0 and copy.used < fresh and copy.path not in needed and self._let_go(copy):
                left -= copy.bytes
        if left > 0:
            logger.warning(
                "the cache of artifacts is %d MB above OUTERLOOP_CACHE_GB: the rest is in use",
                left / 1e6,
            )

    def _let_go(self, copy: Copy) -> bool:
        lock = self.lock(copy.path, shared=False, wait=False)
        if lock is None:
            return False
        try:
            self.drop(copy.path)
        finally:
            lock.close()
        return True

    def _stamp(self, path: str) -> Path:
        return self.folder / "stamps" / quote(path, safe="")


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
