"""The artifact store in S3-compatible object storage, with a cache on each machine."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from training.digests import DigestError, path_sha256

from .bucket import Bucket, ObjectMissing, StoredObject
from .cache import Cache, Lock
from .layout import (
    ENTRY,
    Entry,
    entry_key,
    entry_of,
    entry_read,
    entry_write,
    file_key,
    is_part,
    kept_of,
)
from .protocol import KeptObjects, Progress, StoreAway, StoreMissing, unwatched
from .transfers import TELL_SECONDS, PartedUpload, Transfer, download, upload_end, upload_work

logger = logging.getLogger(__name__)

MARKER = ".outerloop-store"
SENTENCE = b"Outerloop keeps its artifacts below this prefix.\n"
PROBE_BYTES = 1024


@dataclass(frozen=True)
class HeldCopy:
    path: Path
    lock: Lock

    def release(self) -> None:
        self.lock.close()


class ObjectStore:
    """`probe` is the same bucket, asked once and no more: for those who look whether it is there."""

    shared = False

    def __init__(self, bucket: Bucket, probe: Bucket, cache: Cache) -> None:
        self.bucket, self.probe, self.cache = bucket, probe, cache

    def words(self) -> str:
        return str(self.bucket.place)

    def keep(self, path: str, sha256: str, *, watch: Progress = unwatched) -> None:
        copy = self.cache.copy(path)
        if copy is not None and copy.sha256 == sha256:
            self.cache.used(path)
            return
        entry = self._sent(path, sha256, watch)
        with self.cache.locked(path):
            self.cache.stamp(path, sha256, entry.bytes)
        self.cache.room_make(0)

    def _sent(self, path: str, sha256: str, watch: Progress) -> Entry:
        """What lies here, which the bucket has afterwards."""
        entry = entry_of(self.cache.root, path, sha256)
        if not self.has(path, sha256):
            self._send(entry, watch)
        return entry

    def _send(self, entry: Entry, watch: Progress) -> None:
        place = self.cache.root / entry.path
        logger.info("sending %s (%.1f MB) to %s", entry.path, entry.bytes / 1e6, self.words())
        transfer, parted = Transfer(self.bucket, entry.bytes), list[PartedUpload]()
        objects = {
            sha256: place / name if entry.folder else place
            for name, (sha256, _) in entry.files.items()
        }
        work = (
            each
            for sha256, file in objects.items()
            for each in upload_work(transfer, file_key(entry, sha256), file, parted)
        )
        transfer.carry_out(work, watch)
        for whole in parted:
            upload_end(self.bucket, whole)
        self.bucket.put(entry_key(entry.path, entry.sha256), entry_write(entry))

    def local(self, path: str, sha256: str, *, watch: Progress = unwatched) -> Path:
        held = self.hold(path, sha256, watch=watch)
        held.release()
        return held.path

    def hold(self, path: str, sha256: str, *, watch: Progress = unwatched) -> HeldCopy:
        while True:
            lock = self._lock(path, shared=True, watch=watch)
            copy = self.cache.copy(path)
            if copy is not None and copy.sha256 == sha256:
                self.cache.used(path)
                return HeldCopy(self.cache.root / path, lock)
            lock.close()
            lock = self._lock(path, shared=False, watch=watch)
            try:
                self._fetch(path, sha256, watch)
            finally:
                lock.close()

    def _lock(self, path: str, *, shared: bool, watch: Progress) -> Lock:
        """Another process may be fetching the same; whoever waits for us is told meanwhile."""
        while (lock := self.cache.lock(path, shared=shared, wait=False)) is None:
            watch(0, 0)
            time.sleep(TELL_SECONDS)
        return lock

    def _fetch(self, path: str, sha256: str, watch: Progress) -> None:
        """Bring a verified copy, unless another process has done so meanwhile. Hold the lock."""
        copy, place = self.cache.copy(path), self.cache.root / path
        if copy is not None and copy.sha256 == sha256:
            return
        if copy is None and place.exists() and path_sha256(place) == sha256:
            # Made here, or in the folder before there was a bucket: a copy only once the bucket has it.
            self.cache.stamp(path, sha256, self._sent(path, sha256, watch).bytes)
            return
        entry = self.entry(path, sha256)
        logger.info("fetching %s (%.1f MB) from %s", path, entry.bytes / 1e6, self.words())
        self.cache.room_make(entry.bytes)
        arriving = self.cache.arriving(path, sha256)
        arriving.mkdir(parents=True, exist_ok=True)
        transfer = Transfer(self.bucket, entry.bytes)
        transfer.carry_out(
            (
                partial(download, transfer, file_key(entry, file), arriving / name, file, size)
                for name, (file, size) in entry.files.items()
            ),
            watch,
        )
        self.cache.put(path, arriving if entry.folder else arriving / Path(path).name)
        shutil.rmtree(arriving, ignore_errors=True)
        self.cache.stamp(path, sha256, entry.bytes)

    def entry(self, path: str, sha256: str) -> Entry:
        """The manifest in the bucket; `DigestError` where there is none, or a damaged one."""
        key = entry_key(path, sha256)
        try:
            content = self.bucket.get(key)
        except ObjectMissing as error:
            raise DigestError(
                f"{self.bucket.place}{path}: nothing whole of {sha256[:12]}... is kept there."
            ) from error
        return entry_read(content, path, sha256, where=f"{self.bucket.place}{key}")

    def check(self, path: str, sha256: str) -> None:
        entry = self.entry(path, sha256)
        sizes = {each.key: each.bytes for each in self.bucket.listed(f"{path}/{sha256}/")}
        for name, (file, size) in entry.files.items():
            key = file_key(entry, file)
            if sizes.get(key) != size:
                found = (
                    "is missing" if key not in sizes else f"has {sizes[key]:,} bytes, not {size:,}"
                )
                raise DigestError(f"{self.bucket.place}{key} ({name}): the object {found}.")

    def has(self, path: str, sha256: str) -> bool:
        return self.bucket.size(entry_key(path, sha256)) is not None

    def digest(self, path: str) -> str | None:
        whole = [
            each for each in kept_of(self.bucket.listed(f"{path}/")).get(path, ()) if each.whole
        ]
        return whole[-1].sha256 if whole else None

    def listed(self) -> Mapping[str, list[KeptObjects]]:
        begun = [StoredObject(key, 0, at) for key, _, at in self.bucket.uploads("")]
        return kept_of([*self.bucket.listed(), *begun])

    def below(self, path: str) -> set[str]:
        """The paths below this one of which something is kept."""
        return set(kept_of(self.bucket.listed(f"{path}/")))

    def remove(self, path: str) -> None:
        """The manifests first: what is half removed is not there for anybody."""
        found = self.bucket.listed(f"{path}/")
        keys = [each.key for each in found if is_part(each.key)]
        manifests = [key for key in keys if key.endswith(f"/{ENTRY}")]
        self.bucket.remove(manifests)
        self.bucket.remove(key for key in keys if key not in set(manifests))
        for key, upload, _ in self.bucket.uploads(f"{path}/"):
            self.bucket.upload_drop(key, upload)
        below = [
            each.path for each in self.cache.copies() if f"{each.path}/".startswith(f"{path}/")
        ]
        for copy in below:
            with self.cache.locked(copy):
                self.cache.drop(copy)

    def note_put(self, path: str, content: bytes) -> None:
        self.bucket.put(path, content)

    def note(self, path: str) -> bytes:
        try:
            return self.probe.get(path)
        except ObjectMissing:
            return b""

    def enter(self, known: Mapping[str, str]) -> None:
        if self.bucket.size(MARKER) is not None:
            return
        if known and not any(self.has(path, sha256) for path, sha256 in known.items()):
            raise StoreMissing(
                f"The database knows models, and {self.words()} holds none of the newest {len(known)}: mend"
                " OUTERLOOP_ARTIFACT_STORE, or send what lies in OUTERLOOP_ARTIFACTS with"
                " `python manage.py artifacts_send`."
            )
        self.bucket.put(MARKER, SENTENCE)

    def problem(self) -> str:
        try:
            return self._problem()
        except ObjectMissing:
            return (
                f"{self.words()} holds no {MARKER}: it is not the store, or was never prepared. Mend"
                " OUTERLOOP_ARTIFACT_STORE, or run `python manage.py prepare`."
            )
        except StoreAway as error:
            return str(error)

    def _problem(self) -> str:
        """The marker is read, and bytes go there and back."""
        self.probe.get(MARKER)
        key, content = f".probe-{uuid4().hex}", os.urandom(PROBE_BYTES)
        try:
            self.probe.put(key, content)
            if self.probe.get(key) != content:
                return f"{self.words()} does not give back what was written."
        finally:
            with suppress(StoreAway):
                self.probe.remove([key])
        return ""
