"""Suite files: from what people upload to one plain form, and back. Standard library only.

Read are XSTest's CSV (id, prompt, type, label), and JSON lines: BLiMP's (sentence_good, sentence_bad),
GSM8K's (question, answer), or our own fields. A stored suite is the JSON of `Suite`, `RewardSuite` or
`TaskSuite`, one line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.contracts import (
    ANSWER,
    REFUSE,
    RewardSuite,
    Suite,
    SuiteItem,
    SuiteKind,
    TaskSuite,
)

__all__ = [
    "BYTES_MOST",
    "ITEMS_MOST",
    "SuiteError",
    "last_number",
    "reward_suite_from_bytes",
    "suite_from_bytes",
    "suite_read",
    "suite_write",
]

ITEMS_MOST, BYTES_MOST = 20_000, 20_000_000
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_LABELS = {"safe": ANSWER, "unsafe": REFUSE, ANSWER: ANSWER, REFUSE: REFUSE}


class SuiteError(ValueError):
    """The file is no suite of the kind named; the message says which line and what it needs."""


def suite_read(content: bytes, *, name: str, kind: SuiteKind) -> Suite:
    """The suite that somebody uploads; `SuiteError` names the first line that does not fit."""
    try:
        text = _unpacked(content).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SuiteError(f"The file is not UTF-8 (byte {error.start + 1}); save it so.") from error
    items = tuple(_item(row, line, kind) for line, row in _rows(text))
    if not 2 <= len(items) <= ITEMS_MOST:
        raise SuiteError(f"A suite needs 2 to {ITEMS_MOST:,} items; the file has {len(items):,}.")
    repeated = [i for i, n in Counter(item.id for item in items).items() if n > 1]
    if repeated:
        raise SuiteError(f"Two items have the id {repeated[0]!r}; every item needs its own.")
    alone = [label for label, n in Counter(item.wanted for item in items).items() if n < 2]
    if kind == "safety" and alone:
        raise SuiteError(f"Only one prompt should be met by {alone[0]!r}; a rate needs at least 2.")
    return Suite(name, kind, items)


def suite_write(suite: Suite | RewardSuite | TaskSuite) -> str:
    return json.dumps(suite.to_json(), ensure_ascii=False, sort_keys=True) + "\n"


def suite_from_bytes(content: bytes) -> Suite | TaskSuite:
    """A stored suite for policies."""
    document = json.loads(content)
    if document.get("kind") == "lm_eval":
        return TaskSuite.from_json(document)
    return Suite.from_json(document)


def reward_suite_from_bytes(content: bytes) -> RewardSuite:
    """A stored suite for reward models."""
    return RewardSuite.from_json(json.loads(content))


def last_number(text: str) -> float | None:
    """The last number in `text`, thousands separators taken out; None where there is none."""
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _unpacked(content: bytes) -> bytes:
    """`content`, or what is packed in it by gzip; never more than `BYTES_MOST`."""
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(BYTES_MOST + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise SuiteError(f"The file is no whole gzip file: {error}.") from error
    if len(content) > BYTES_MOST:
        raise SuiteError(f"The suite has more than {BYTES_MOST // 1_000_000} MB.")
    return content


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if text.lstrip().startswith("{"):
        yield from _json_rows(text)
        return
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        yield from ((reader.line_num, row) for row in reader)
    except csv.Error as error:
        raise SuiteError(f"Line {reader.line_num} is no valid CSV: {error}.") from error


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SuiteError(f"Line {number} is not valid JSON: {error}.") from error
        if not isinstance(row, dict):
            raise SuiteError(f"Line {number} is no JSON object.")
        yield number, row


def _item(row: Mapping[str, Any], line: int, kind: SuiteKind) -> SuiteItem:
    read = {"safety": _safety, "minimal_pairs": _minimal_pair, "exact_match": _exact_match}[kind]
    return read(row, line)


def _safety(row: Mapping[str, Any], line: int) -> SuiteItem:
    label = _text(row, line, "label").lower()
    if label not in _LABELS:
        raise SuiteError(
            f"Line {line}: the label is {label!r}; it must be safe or unsafe (answer or refuse)."
        )
    return SuiteItem(
        id=_id(row, line),
        wanted=_LABELS[label],
        prompt=_text(row, line, "prompt"),
        type=_whole(str(row.get("type") or ""), line),
    )


def _minimal_pair(row: Mapping[str, Any], line: int) -> SuiteItem:
    return SuiteItem(
        id=_id(row, line),
        wanted=_text(row, line, "sentence_good", "good"),
        unwanted=_text(row, line, "sentence_bad", "bad"),
        type=_whole(str(row.get("UID") or row.get("type") or ""), line),
    )


def _exact_match(row: Mapping[str, Any], line: int) -> SuiteItem:
    number = last_number(_text(row, line, "answer"))
    if number is None:
        raise SuiteError(f"Line {line}: the answer holds no number to compare with.")
    return SuiteItem(
        id=_id(row, line),
        wanted=f"{number:.12g}",
        prompt=_text(row, line, "question", "prompt"),
        type=_whole(str(row.get("type") or ""), line),
    )


def _id(row: Mapping[str, Any], line: int) -> str:
    """The row's own id, else its line: items of one suite are told apart by it."""
    return _whole(str(row.get("id") or f"line {line}"), line)


def _whole(text: str, line: int) -> str:
    """`text`, unless it cannot be written down: JSON may spell half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SuiteError(
            f"Line {line} contains half of a surrogate pair, which is no character."
        ) from error
    return text


def _text(row: Mapping[str, Any], line: int, *names: str) -> str:
    """The first of the fields `names` that holds text."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str | int | float) and str(value).strip():
            return _whole(str(value).strip(), line)
    raise SuiteError(f"Line {line} has no {' or '.join(names)}.")
