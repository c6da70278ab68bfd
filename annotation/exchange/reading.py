"""Lines of a JSONL file, plain or gzipped, with their numbers and how far the file has been read."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .records import ImportFailed, RowRejected

GZIP_MAGIC = b"\x1f\x8b"
LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True)
class Line:
    """`end` is how many bytes of the file as stored have been read after this line."""

    number: int
    content: bytes
    end: int


def file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror}.") from error


def lines_of(path: Path) -> Iterator[Line]:
    """Lines that are not blank. Gzip is known by its first bytes, not by the name.

    Raises `ImportFailed` for a file that cannot be opened or is a broken gzip.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if zipped else raw
            yield from _numbered(stream, raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImportFailed(
            f"{path.name} is a broken gzip file ({error}): copy or download it again."
        ) from error
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror or error}.") from error


def row_parsed(line: Line) -> dict[str, Any]:
    """The JSON object of a line, or `RowRejected`."""
    if len(line.content) > LONGEST_LINE:
        raise RowRejected(f"The line is longer than {LONGEST_LINE // 1024**2} MiB.")
    try:
        value = json.loads(line.content)
    except UnicodeDecodeError as error:
        raise RowRejected(f"The line is not UTF-8 (byte {error.start + 1}).") from error
    except ValueError as error:
        raise RowRejected(f"The line is not JSON: {error}.") from error
    except RecursionError as error:
        raise RowRejected("The line is JSON nested too deeply.") from error
    if not isinstance(value, dict):
        raise RowRejected(f"The line is JSON, but a {type(value).__name__} and not an object.")
    return value


def _numbered(stream: BinaryIO | gzip.GzipFile, raw: BinaryIO) -> Iterator[Line]:
    number = 0
    while content := stream.readline(LONGEST_LINE + 1):
        number += 1
        while len(content) > LONGEST_LINE and not content.endswith(b"\n"):
            rest = stream.readline(
                LONGEST_LINE + 1
            )  # drop the rest, keep only that it was too long
            if not rest or rest.endswith(b"\n"):
                break
        if number == 1:
            content = content.removeprefix(b"\xef\xbb\xbf")
        if content.strip():
            yield Line(number, content, raw.tell())
