"""Where a backup lies: a folder, or one tar file (a name that ends in .tar).

Both are written under another name, with access for their owner alone, and renamed when whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol

from web.files import path_sync

from .manifest import BackupError, FileEntry

CHUNK = 1 << 20
# Names that promise another file than a backup is.
PACKED = re.compile(r"(\.tar)?\.(gz|bz2|xz|zst|tgz|zip|7z)$", re.IGNORECASE)
Tick = Callable[[int], None]


class Sink(Protocol):
    def add(self, name: str, path: Path, tick: Tick) -> FileEntry:
        """Take a copy of the file at `path` in under `name`; `tick` is told the bytes of each piece."""
        ...

    def move(self, name: str, path: Path) -> FileEntry:
        """Take a temporary file in; it is gone from `path` afterwards."""
        ...


class Source(Protocol):
    def open(self, name: str) -> IO[bytes]:
        """The file of this name; FileNotFoundError when it is not there."""
        ...


def file_copy(source: IO[bytes], target: IO[bytes] | None, tick: Tick) -> tuple[int, str]:
    """Copy in pieces (with no target: only read); returns bytes and SHA-256 of what was read."""
    digest, size = hashlib.sha256(), 0
    while piece := source.read(CHUNK):
        if target is not None:
            target.write(piece)
        digest.update(piece)
        size += len(piece)
        tick(len(piece))
    return size, digest.hexdigest()


class FolderSink:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, path: Path, tick: Tick) -> FileEntry:
        target = self._target(name)
        with path.open("rb") as source, target.open("xb") as file:
            size, digest = file_copy(source, file, tick)
            file.flush()
            os.fsync(file.fileno())
        return FileEntry(name, size, digest)

    def move(self, name: str, path: Path) -> FileEntry:
        entry = self.add(name, path, lambda _: None)
        path.unlink()
        return entry

    def _target(self, name: str) -> Path:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


class _Hashing:
    """A file that tells its digest while tarfile reads it."""

    def __init__(self, file: IO[bytes], tick: Tick) -> None:
        self.file, self.tick, self.digest = file, tick, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.digest.update(piece)
        self.tick(len(piece))
        return piece


class TarSink:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self.archive = archive

    def add(self, name: str, path: Path, tick: Tick) -> FileEntry:
        member = tarfile.TarInfo(name)
        with path.open("rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            member.mode = 0o600
            hashing = _Hashing(file, tick)
            self.archive.addfile(member, hashing)
        return FileEntry(name, member.size, hashing.digest.hexdigest())

    def move(self, name: str, path: Path) -> FileEntry:
        entry = self.add(name, path, lambda _: None)
        path.unlink()
        return entry


@contextmanager
def sink_open(target: Path) -> Iterator[Sink]:
    """A new backup at `target`, there when the block ends well and not there when it does not."""
    if target.exists() or target.is_symlink():
        raise BackupError(f"{target} is there already; name a new file or folder.")
    if not target.parent.is_dir():
        raise BackupError(f"{target.parent} is no folder; make it first.")
    if packed := PACKED.search(target.name):
        raise BackupError(
            f"A backup is a folder or one file ending in .tar; {packed[0]} would be neither. Write a .tar, and pack it."
        )
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        if target.suffix == ".tar":
            yield from _tar_written(partial)
        else:
            partial.mkdir(mode=0o700)
            yield FolderSink(partial)
        partial.rename(target)
        path_sync(target.parent)
    except BaseException:
        _remove(partial)
        raise


def _tar_written(partial: Path) -> Iterator[Sink]:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            yield TarSink(archive)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class FolderSource:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, name: str) -> IO[bytes]:
        path = self.folder / name
        if path.is_symlink() or not path.is_file():
            raise FileNotFoundError(name)
        return path.open("rb")


class TarSource:
    """Only plain files are given out, by name; nothing is extracted by the archive's own paths."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self.archive = archive
        self.members = {member.name: member for member in archive.getmembers() if member.isreg()}

    def open(self, name: str) -> IO[bytes]:
        if name not in self.members:
            raise FileNotFoundError(name)
        file = self.archive.extractfile(self.members[name])
        assert file is not None  # a plain file has content
        return file


@contextmanager
def source_open(path: Path) -> Iterator[Source]:
    """The backup at `path`; `BackupError` when there is none, or a tar file is cut off."""
    if path.is_dir():
        yield FolderSource(path)
        return
    if not path.is_file():
        raise BackupError(f"{path} is not there; name a backup's folder or tar file.")
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(tarfile.open(path, mode="r:"))
            source = TarSource(archive)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise BackupError(f"{path} is no whole tar file: {error}.") from error
        yield source
