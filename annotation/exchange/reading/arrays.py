"""One JSON array of objects, read item by item."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotation.exchange.records import ImportFailed

from .limits import longest_row
from .packed import Unpacked
from .rows import DECODER, FieldTwice, SourceRow

PIECE = 64 * 1024
_BLANK = " \t\r\n"
_ESCAPED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are no UTF-8


class _Text:
    """The text of a stream of which as much is held as the present item needs."""

    def __init__(self, source: Unpacked) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self.held, self.ended = "", False

    def more(self) -> bool:
        """Hold at least as much again; false when there is no more."""
        piece = self._source.read(max(PIECE, len(self.held)))
        self.ended = not piece
        self.held += self._decoder.decode(piece, final=self.ended)
        return not self.ended

    def sign(self) -> str:
        """The next character that is no blank, left where it is; "" at the end."""
        while True:
            self.held = self.held.lstrip(_BLANK)
            if self.held or not self.more():
                return self.held[:1]

    def skip(self) -> None:
        self.held = self.held[1:]


def array_rows(path: Path, source: Unpacked) -> Iterator[SourceRow]:
    """Rows of the items. An item that is no JSON ends the array: where the next begins, nobody knows."""
    text = _Text(source)
    text.sign()
    text.skip()
    number = 0
    while (sign := text.sign()) != "]":
        if number:
            if sign != ",":
                raise _broken(path, number + 1, "a comma or the closing bracket is missing")
            text.skip()
            text.sign()
        number += 1
        yield _row(number, source.position(), _item(path, number, text))
    text.skip()
    if text.sign():
        raise ImportFailed(
            f"{path.name} goes on after the end of its JSON array: one array a file."
        )


def _item(path: Path, number: int, text: _Text) -> Any:
    while True:
        try:
            value, end = _decoded(text.held)
        except RecursionError as error:
            raise _broken(path, number, "it is nested too deeply") from error
        except ValueError as error:
            if len(text.held) > longest_row() or not text.more():
                raise _broken(path, number, str(error)) from error
        else:
            if end == len(text.held) and text.more():
                continue  # a number that is cut by the piece's end looks whole
            text.held = text.held[end:]
            return value


def _decoded(held: str) -> tuple[Any, int]:
    """The first value and where it ends; `FieldTwice` stands for one that has a field twice."""
    try:
        return DECODER.raw_decode(held)
    except FieldTwice as error:
        end = json.JSONDecoder().raw_decode(held)[1]
        error.content = held[:end].encode("utf-8", "replace")
        return error, end


def _row(number: int, end: int, value: Any) -> SourceRow:
    if isinstance(value, FieldTwice):
        return SourceRow(number, end, None, str(value), value.content)
    if not isinstance(value, dict):
        problem = f"The item is a {type(value).__name__} and not an object."
        return SourceRow(number, end, None, problem, str(value).encode("utf-8", "replace"))
    problem = not_utf8(value)
    return SourceRow(number, end, None if problem else value, problem)


def not_utf8(value: Any) -> str:
    """A sentence where bytes that are no UTF-8 were found in the row, else ""."""
    try:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "The row is JSON nested too deeply."
    return "The row is not UTF-8." if _ESCAPED.search(shown) else ""


def _broken(path: Path, number: int, why: str) -> ImportFailed:
    return ImportFailed(
        f"{path.name} is a broken JSON array: item {number:,} cannot be read ({why}). Mend the file, and"
        " import it again."
    )
