"""Sending and fetching files of an artifact, several at a time; what a kill leaves is gone on with.

A file is an object that is named by its SHA-256, so whatever is there under that name with the right size
need not be sent again. A large one goes in parts; those of an earlier attempt that have arrived count.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from training.digests import DigestError
from web.files import path_sync

from .bucket import PIECE, Bucket, ObjectMissing
from .protocol import Progress, StoreAway

PART = 16 * PIECE
PARTS = 10_000  # as many as an object may have
AT_ONCE = 4
TELL_SECONDS = 0.5
READS, PAUSE_SECONDS = 3, 1.0

Work = Callable[[], None]


class Stopped(RuntimeError):
    """Another file of the same artifact failed, or whoever watches has had enough."""


@dataclass
class Transfer:
    """What is under way for one artifact of `total` bytes; used by several threads."""

    bucket: Bucket
    total: int
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tick(self, count: int) -> None:
        if self.stop.is_set():
            raise Stopped
        with self.lock:
            self.done += count

    def carry_out(self, work: Iterable[Work], watch: Progress) -> None:
        """Do all of it, `AT_ONCE` at a time; `watch` is told how far it is by the calling thread."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            under_way: set[Future[None]] = set()
            try:
                for each in work:
                    under_way.add(pool.submit(each))
                    while len(under_way) >= AT_ONCE:
                        under_way = self._some_done(under_way, watch)
                while under_way:
                    under_way = self._some_done(under_way, watch)
            except BaseException:
                self.stop.set()
                raise
        watch(self.total, self.total)

    def _some_done(self, under_way: set[Future[None]], watch: Progress) -> set[Future[None]]:
        finished, waiting = wait(under_way, timeout=TELL_SECONDS, return_when=FIRST_COMPLETED)
        for each in finished:
            each.result()
        watch(min(self.done, self.total), self.total)
        return waiting


@dataclass(frozen=True)
class PartedUpload:
    """A file that goes in parts: `tags` (number -> tag) fill as they arrive; `size` is that of the whole."""

    key: str
    upload: str
    size: int
    tags: dict[int, str] = field(default_factory=dict)


def upload_work(
    transfer: Transfer, key: str, path: Path, parted: list[PartedUpload]
) -> Iterator[Work]:
    """What is to be done so that the object `key` holds the file; nothing where it does already.

    A large file joins `parted`: once all is done, `upload_end` makes one object of its parts."""
    size = path.stat().st_size
    if transfer.bucket.size(key) == size:
        transfer.tick(size)
    elif size <= PART:
        yield partial(_put, transfer, key, path, size)
    else:
        yield from _parts_work(transfer, key, path, size, parted)


def _put(transfer: Transfer, key: str, path: Path, size: int) -> None:
    transfer.bucket.put(key, path.read_bytes())
    transfer.tick(size)


def _parts_work(
    transfer: Transfer, key: str, path: Path, size: int, parted: list[PartedUpload]
) -> Iterator[Work]:
    bucket, length = transfer.bucket, part_length(size)
    begun = [upload for found, upload, _ in bucket.uploads(key) if found == key]
    whole = PartedUpload(key, begun[-1] if begun else bucket.upload_begin(key), size)
    arrived = bucket.parts(key, whole.upload) if begun else {}
    parted.append(whole)
    for number, start in enumerate(range(0, size, length), start=1):
        wanted = min(length, size - start)
        tag, there = arrived.get(number, ("", -1))
        if there == wanted:
            whole.tags[number] = tag
            transfer.tick(wanted)
        else:
            yield partial(_part_put, transfer, whole, path, number, start, wanted)


def _part_put(
    transfer: Transfer, whole: PartedUpload, path: Path, number: int, start: int, wanted: int
) -> None:
    transfer.tick(0)  # stopped meanwhile?
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(wanted)
    whole.tags[number] = transfer.bucket.part_put(whole.key, whole.upload, number, content)
    transfer.tick(wanted)


def upload_end(bucket: Bucket, whole: PartedUpload) -> None:
    try:
        bucket.upload_end(whole.key, whole.upload, whole.tags)
    except ObjectMissing as error:  # another process has ended this upload meanwhile
        if bucket.size(whole.key) != whole.size:
            raise StoreAway(
                f"The upload of {error} was dropped before it had ended; try again."
            ) from error


def part_length(size: int) -> int:
    """Bytes of each part but the last: whole MiB, and few enough parts."""
    pieces = -(-size // (PARTS * PIECE))
    return max(PART, pieces * PIECE)


def download(transfer: Transfer, key: str, target: Path, sha256: str, size: int) -> None:
    """Fetch the object to `target`, which is whole and verified, or not there; a part that an earlier attempt
    fetched is not fetched again. Raises `DigestError` naming the object."""
    if target.exists():
        transfer.tick(size)
        return
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    resumed = part.exists()
    found = _fetched(transfer, key, part, size)
    if (
        found != sha256 and resumed
    ):  # what was left there may have been damaged: once more from the beginning
        part.unlink()
        found = _fetched(transfer, key, part, size)
    if found != sha256:
        part.unlink()
        raise DigestError(
            f"{transfer.bucket.place}{key} ({target.name}): its SHA-256 is {found[:12]}..., but"
            f" {sha256[:12]}... was recorded; the content was changed or damaged."
        )
    path_sync(part)
    part.rename(target)


def _fetched(transfer: Transfer, key: str, part: Path, size: int) -> str:
    """Fill `part` up to the end of the object, going on where a read broke off; returns its SHA-256."""
    digest, there = hashlib.sha256(), 0
    with part.open("a+b") as file:
        file.seek(0)
        while piece := file.read(PIECE):
            digest.update(piece)
            there += len(piece)
            transfer.tick(len(piece))
        reads = 0
        while there < size:
            try:
                for piece in transfer.bucket.stream(key, there):
                    file.write(piece)
                    digest.update(piece)
                    there += len(piece)
                    transfer.tick(len(piece))
                break
            except ObjectMissing as error:
                raise DigestError(f"{error} ({part.stem}): the object is missing.") from error
            except StoreAway:
                reads += 1
                if reads >= READS:
                    raise
                time.sleep(PAUSE_SECONDS)
    return digest.hexdigest()
