"""Lines of a JSONL file, plain or gzipped, with their numbers and how far the file has been read.

Whatever the file, memory stays within two lines of the longest that is taken: a longer one is skipped
piece by piece, and a gzip that unpacks beyond all measure is given up on the way.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from .records import ImportFailed, RowRejected

GZIP_MAGIC = b"\x1f\x8b"
MIB = 1024 * 1024
PIECE = MIB
# Text in JSON packs 3 to 30 times, the same row over and over a few hundred; DEFLATE ends at 1,032.
MOST_UNPACKED, UNPACKED_FREELY = 500, 64 * MIB
UTF8_MARK = b"\xef\xbb\xbf"
_KINDS = (
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
    (b"PAR1", "a Parquet file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (GZIP_MAGIC, "a gzip file within a gzip file"),
    (b"\xff\xfe", "a text in UTF-16"),
    (b"\xfe\xff", "a text in UTF-16"),
)


@dataclass(frozen=True)
class JsonLine:
    """`end` is how many bytes of the file as stored have been read after this line."""

    number: int
    content: bytes
    end: int


def file_size(path: Path) -> int:
    """The size of a regular file that is not larger than an import takes; else `ImportFailed`."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror}.") from error
    if not path.is_file():
        raise ImportFailed(f"{path} is not a file; name a file of JSON lines.")
    _check_size(path, size, packed=0)
    return size


def json_lines(path: Path) -> Iterator[JsonLine]:
    """Lines that are not blank. Gzip is known by its first bytes, not by the name.

    Raises `ImportFailed` for a file that cannot be opened, is a broken gzip or too large.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if zipped else raw
            yield from _numbered(path, stream, raw, zipped=zipped)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImportFailed(
            f"{path.name} is a broken gzip file ({error}): copy or download it again."
        ) from error
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror or error}.") from error


def row_parsed(line: JsonLine) -> dict[str, Any]:
    """The JSON object of a line, or `RowRejected`."""
    if len(line.content) > _longest_line():
        raise RowRejected(
            f"The line is longer than {settings.IMPORT_LINE_MB} MiB; shorten its texts or raise"
            " OUTERLOOP_IMPORT_LINE_MB."
        )
    try:
        value = json.loads(line.content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowRejected(f"The line is not UTF-8 (byte {error.start + 1}).") from error
    except ValueError as error:
        raise RowRejected(f"The line is not JSON: {error}.") from error
    except RecursionError as error:
        raise RowRejected("The line is JSON nested too deeply.") from error
    if not isinstance(value, dict):
        raise RowRejected(f"The line is JSON, but a {type(value).__name__} and not an object.")
    return value


def kind_of(beginning: bytes) -> str:
    """What a file is whose first line is no JSON object: for the sentence that refuses it."""
    for magic, kind in _KINDS:
        if beginning.startswith(magic):
            return kind
    if beginning[257:262] == b"ustar":
        return "a tar archive"
    if beginning.lstrip()[:1] == b"[":
        return "one JSON array"
    if b"," in beginning or b";" in beginning or b"\t" in beginning:
        return "a table such as CSV"
    return ""


def _longest_line() -> int:
    return int(settings.IMPORT_LINE_MB * MIB)


def _numbered(
    path: Path, stream: BinaryIO | gzip.GzipFile, raw: BinaryIO, *, zipped: bool
) -> Iterator[JsonLine]:
    number, unpacked, longest = 0, 0, _longest_line()
    while content := stream.readline(longest + 1):
        number += 1
        piece = content
        while True:
            unpacked += len(piece)
            _check_size(path, unpacked, packed=raw.tell() if zipped else 0)
            if len(content) <= longest or piece.endswith(b"\n"):
                break
            piece = stream.readline(PIECE)  # dropped: only that it was too long is kept
            if not piece:
                break
        if number == 1:
            content = content.removeprefix(UTF8_MARK)
        if content.strip():
            yield JsonLine(number, content, raw.tell())


def _check_size(path: Path, size: int, *, packed: int) -> None:
    """`packed`: bytes of the gzip that gave `size` bytes so far; 0 for a plain file."""
    if size > settings.IMPORT_FILE_MB * MIB:
        unpacked = " once unpacked" if packed else ""
        raise ImportFailed(
            f"{path.name} is larger than {settings.IMPORT_FILE_MB:,} MiB{unpacked}. Split it, or raise"
            " OUTERLOOP_IMPORT_FILE_MB."
        )
    if packed and size > max(UNPACKED_FREELY, MOST_UNPACKED * packed):
        raise ImportFailed(
            f"{path.name} unpacks to more than {MOST_UNPACKED} times its size, as no text does: it is a"
            " zip bomb or damaged. Unpack it yourself, look at it, and import the plain file."
        )
