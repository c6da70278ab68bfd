"""Files of rows, whatever they are packed in: read one row after the other, in little memory.

What a file is, its first bytes say, never its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from annotation.exchange.records import ImportFailed

from .arrays import array_rows
from .columns import arrow_rows, parquet_rows
from .folders import files_of, folder_size, is_archive, unzipped
from .limits import size_checked
from .lines import line_rows
from .packed import beginning_of, opened
from .rows import UTF8_MARK, SourceRow
from .tables import delimiter_of, table_rows

__all__ = ["WANTED", "SourceRow", "rows_read", "size_of"]

ARROW_STREAM = b"\xff\xff\xff\xff"
_KINDS = (
    (b"PK\x03\x04", "a spreadsheet or another archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xff\xfe", "a text in UTF-16"),
    (b"\xfe\xff", "a text in UTF-16"),
    (b"\x1f\x8b", "a packed file within a packed file"),
    (b"\x28\xb5\x2f\xfd", "a packed file within a packed file"),
    (b"\xfd7zXZ", "a packed file within a packed file"),
)
WANTED = (
    "Give JSON lines, a JSON array, CSV or TSV in UTF-8 (plain, .gz, .zst or .xz), Parquet or a"
    " dataset folder."
)


def size_of(path: Path) -> int:
    """Bytes of a file or a dataset folder that are not more than an import takes; else `ImportFailed`."""
    try:
        size = folder_size(path) if path.is_dir() else path.stat().st_size
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror}.") from error
    if not (path.is_file() or path.is_dir()):
        raise ImportFailed(f"{path} is not a file; name a file of rows or a dataset folder.")
    size_checked(path, size, packed=0)
    return size


def rows_read(path: Path) -> Iterator[SourceRow]:
    """The rows of a file, or of all files of a dataset folder, numbered from 1.

    Raises `ImportFailed` for what cannot be opened, is damaged, too large or of another kind; the rows
    before the damage have been given out by then.
    """
    if is_archive(path):
        with unzipped(path) as folder:
            yield from _of_folder(folder)
    elif path.is_dir():
        yield from _of_folder(path)
    else:
        yield from _of_file(path)


def _of_folder(folder: Path) -> Iterator[SourceRow]:
    number, end = 0, 0
    for file, split in files_of(folder):
        row: SourceRow | None = None
        for row in _of_file(file):
            yield row.moved(number, end, split)
        number += row.number if row else 0
        end += file.stat().st_size


def _of_file(path: Path) -> Iterator[SourceRow]:
    try:
        beginning = beginning_of(path)
        if beginning.startswith(b"PAR1"):
            yield from parquet_rows(path)
        elif beginning.startswith((b"ARROW1", ARROW_STREAM)):
            yield from arrow_rows(path)
        else:
            yield from _of_text(path, beginning)
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror or error}.") from error


def _of_text(path: Path, beginning: bytes) -> Iterator[SourceRow]:
    text = beginning.removeprefix(UTF8_MARK).lstrip()
    first = text.split(b"\n", 1)[0].strip()
    if first == b"{":
        raise ImportFailed(
            f"{path.name} holds a JSON object over several lines: write one object on each line, or all"
            " of them in one array."
        )
    delimiter = "" if text[:1] in (b"{", b"[") else delimiter_of(text)
    with opened(path) as source:
        if text[:1] == b"[" and not _whole_line(text):
            yield from array_rows(path, source)
        elif kind := _kind(text):
            raise ImportFailed(f"{path.name} cannot be read: it is {kind}. {WANTED}")
        elif delimiter:
            yield from table_rows(path, source, delimiter)
        else:
            yield from line_rows(source)


def _whole_line(text: bytes) -> bool:
    """Whether the first of several lines is a list by itself: JSON lines, of which it is a bad one."""
    first, _, rest = text.partition(b"\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return bool(rest.strip())


def _kind(beginning: bytes) -> str:
    """What a file is that is none of those that are read: for the sentence that refuses it."""
    for magic, kind in _KINDS:
        if beginning.startswith(magic):
            return kind
    return "a tar archive" if beginning[257:262] == b"ustar" else ""
