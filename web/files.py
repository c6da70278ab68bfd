"""How a file comes to stand under its name: whole, or not at all, whoever kills whom in between."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from typing import BinaryIO

__all__ = ["file_write", "file_written", "path_sync", "rights_share"]


@contextmanager
def file_written(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file beside `path` to write into; it takes that name when the block ends well.

    Where the block raises, what was written goes, and an earlier file stays. Unless `durable` is False the
    file and its name are on the disk afterwards: no power cut takes them back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as stream:
            yield stream
        if durable:
            path_sync(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        path_sync(path.parent)


def file_write(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """The same for content that is at hand; text becomes UTF-8."""
    with file_written(path, durable=durable) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def rights_share(folder: Path, like: Path) -> None:
    """Whoever may read and write the folder `like` may read and write what lies in `folder`, and it.

    Libraries write weights for their owner alone, and a copy keeps what its source had; processes of
    other users of the same group have to read them. Rights are added, none is taken.
    """
    shared = like.stat().st_mode & 0o777
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            wanted = shared if path.is_dir() else shared & 0o666
            path.chmod(S_IMODE(path.stat().st_mode) | wanted)


def path_sync(path: Path) -> None:
    """Bring a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
