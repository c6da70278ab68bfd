"""Tables for spreadsheets. No cell may act: a text that begins like a formula is marked as text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

_SIGNS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # the full-width ones count as signs in some places


class _Echo:
    """A file for csv.writer that hands every written line back."""

    def write(self, text: str) -> str:
        return text


def cell_neutral(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would take it for a formula.

    One that begins with an apostrophe gets another, so that a reader who takes the first apostrophe of
    every cell away has the texts as they were.
    """
    acts = text.lstrip().startswith(_SIGNS) or text[:1] in ("\t", "\r", "\n", "'")
    return f"'{text}" if acts else text


def rejections_csv(rows: Iterable[tuple[int, str, str]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["line", "reason", "row"])
    for line, reason, excerpt in rows:
        yield writer.writerow([line, cell_neutral(reason), cell_neutral(excerpt)])
