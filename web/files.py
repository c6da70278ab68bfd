"""Files that are there whole or not at all. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4


@contextmanager
def file_written(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to be written; when the block ends well it stands under its name, else nothing does.

    It is written beside `path` and renamed, so that no reader meets half of it; `durable` waits for
    the disk first, so that a power cut does not leave it empty. OSError where the disk takes nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with partial.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
