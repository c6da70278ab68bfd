"""CSV and TSV: names in the first line, a row on each other line (or several, within quotes)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from annotation.exchange.records import ImportFailed, printable

from .arrays import not_utf8
from .limits import longest_row, too_long
from .lines import PIECE
from .packed import BEGINNING, Unpacked
from .rows import UTF8_MARK, SourceRow

DELIMITERS = ("\t", ",", ";")
# Columns by which a table of our own is known: there an apostrophe before a text keeps it from acting in a
# spreadsheet, and one that was there has another before it.
OWN = frozenset({"id", "campaign", "rater", "split", "group", "judged_at"})
LONGEST_NAME = 100
# Columns that hold lists or objects, written as JSON; others are texts, even where they look like it.
# fmt: off
STRUCTURED = frozenset((
    "messages", "conversations", "conversation_a", "conversation_b", "votes", "tags", "flags", "reasons", "criteria",
    "completions", "answers", "annotations", "responses", "fields", "data", "summaries", "info", "question",
    "extra", "ranks", "scores", "chosen", "rejected", "prompt", "context", "completion", "values", "shown_order",
    "spans",
))
# fmt: on


def delimiter_of(beginning: bytes) -> str:
    """What parts the cells of a table, or "" where the beginning is not that of one."""
    lines = beginning.decode("utf-8", "replace").splitlines()
    if not lines or any(line.lstrip().startswith("{") for line in lines[1:3]):
        return ""
    for delimiter in DELIMITERS:
        names = next(csv.reader(lines[:1], delimiter=delimiter), [])
        if len(names) > 1 and all(0 < len(name.strip()) <= LONGEST_NAME for name in names):
            return delimiter
    return ""


def table_rows(path: Path, source: Unpacked, delimiter: str) -> Iterator[SourceRow]:
    """Rows by the names of the first line. A row of another length is refused, as is one that is too long,
    and an empty cell is none."""
    csv.field_size_limit(
        max(longest_row(), BEGINNING)
    )  # of the process, so for what looks at names too
    lines = _Lines(source)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names = _names(path, reader)
    if lines.is_too_long():
        raise ImportFailed(f"{path.name}, line 1: {too_long()}")
    while True:
        number = reader.line_num + 1
        lines.row_begins()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise ImportFailed(
                    f"{path.name}, line {number:,}: a quote is opened and never closed, so that no row"
                    " from there on can be read. Mend it, and import the file again."
                ) from error
            yield SourceRow(number, source.position(), None, f"The line is no CSV: {error}.")
            continue
        if cells is None:
            return
        if lines.is_too_long():
            yield SourceRow(number, source.position(), None, too_long(), lines.beginning)
        elif cells:
            yield _row(number, source.position(), names, cells)


class _Lines:
    """The lines of a table as texts. Of a row that is longer than is taken, from there on only whether its
    quotes are even, so that it ends where it ends in the file, and memory does not grow with it."""

    def __init__(self, source: Unpacked) -> None:
        self._source, self._longest = source, longest_row()
        self._mark = UTF8_MARK
        self.row_begins()

    def row_begins(self) -> None:
        self.beginning, self._size = b"", 0

    def is_too_long(self) -> bool:
        return self._size > self._longest

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        content = piece = self._source.readline(self._longest + 1)
        if not piece:
            raise StopIteration
        odd = piece.count(b'"') % 2
        while len(content) > self._longest and piece and not piece.endswith(b"\n"):
            piece = self._source.readline(PIECE)  # dropped, but for its quotes
            odd ^= piece.count(b'"') % 2
        content, self._mark = content.removeprefix(self._mark), b""
        self.beginning, self._size = self.beginning or content, self._size + len(content)
        if self.is_too_long():
            return '"' if odd else ""
        return content.decode("utf-8", "surrogateescape")


def _names(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise ImportFailed(f"{path.name}, line 1: The line is no CSV: {error}.") from error
    for name in names:
        if names.count(name) > 1:
            raise ImportFailed(
                f"{path.name} has two columns named {printable(name)[:60]}: rename one."
            )
    return names


def _row(number: int, end: int, names: Sequence[str], cells: Sequence[str]) -> SourceRow:
    content = ",".join(cells).encode("utf-8", "replace")
    if len(cells) != len(names):
        problem = f"The row has {len(cells)} cells, but the first line names {len(names)}."
        return SourceRow(number, end, None, problem, content)
    if _own(names):
        cells = [cell.removeprefix("'") for cell in cells]
    fields = {
        name: _value(name, cell) for name, cell in zip(names, cells, strict=True) if cell != ""
    }
    problem = not_utf8(fields)
    return SourceRow(number, end, None if problem else fields, problem, content)


def _own(names: Sequence[str]) -> bool:
    return OWN.issubset(names)


def _value(name: str, cell: str) -> Any:
    if name not in STRUCTURED or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    if isinstance(value, list) and name in (
        "chosen",
        "rejected",
        "prompt",
        "context",
        "completion",
    ):
        return value if value and all(isinstance(item, dict) for item in value) else cell
    return value
