"""A row as its file has it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from annotation.exchange.naming import split_named
from annotation.exchange.records import printable

UTF8_MARK = b"\xef\xbb\xbf"
EXCERPT = 400


class FieldTwice(Exception):
    """An object of JSON has two fields of one name: which of them is meant, nobody knows."""

    def __init__(self, name: str) -> None:
        self.content = b""  # the whole of it, where that is known
        super().__init__(f"The row has two fields named {printable(name)[:60]}: rename one.")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise FieldTwice(next(name for name in names if names.count(name) > 1))
    return found


# Raises `FieldTwice` where `json` keeps the last of two.
DECODER = json.JSONDecoder(object_pairs_hook=_each_once)


@dataclass(frozen=True)
class SourceRow:
    """`fields` is None where `problem` says why the row cannot be read.

    `number` counts lines in JSON lines and tables, items elsewhere; `end` is how many bytes of the
    file as stored have been read after this row; `content` the row as it stands there, if it is text.
    """

    number: int
    end: int
    fields: dict[str, Any] | None
    problem: str = ""
    content: bytes = b""

    @property
    def excerpt(self) -> str:
        if self.content:
            return self.content[:EXCERPT].decode("utf-8", "replace").strip()
        return json.dumps(self.fields, ensure_ascii=False, default=str)[:EXCERPT]

    def moved(self, number: int, end: int, split: str) -> SourceRow:
        """The row of a file that is one of several; `split` is the dataset's own name of its part, which
        says nothing of the row where it is the name of no split."""
        fields, part = self.fields, split_named(split)
        if fields is not None and part and fields.get("split") is None:
            fields = {**fields, "split": part}
        return replace(self, number=self.number + number, end=self.end + end, fields=fields)
