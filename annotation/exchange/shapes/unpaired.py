"""TRL's unpaired preferences: a prompt, one completion, and whether it is good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.exchange.records import ImportRow, RowRejected

from .fields import yes_field
from .messages import prompt_field
from .preferences import decided
from .texts import completion_field
from .tracked import Fields

ALONE = (
    "The row judges one completion alone, and no neighbouring row has the same prompt with the other label:"
    " a comparison needs two completions of one prompt."
)


def is_unpaired(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in ("prompt", "completion", "label"))


def unpaired_key(fields: Mapping[str, Any]) -> str:
    return repr(fields.get("prompt"))


def unpaired_rows(rows: Sequence[Fields]) -> tuple[list[ImportRow], dict[int, str]]:
    """Of neighbouring rows with one prompt, a good and a bad completion make a pair, each row in one.

    Returns the pairs, and by place why a row is in none.
    """
    refused: dict[int, str] = {}
    sides: dict[bool, list[int]] = {True: [], False: []}
    for place, row in enumerate(rows):
        try:
            sides[yes_field(row.get("label"), "label")].append(place)
        except RowRejected as rejected:
            refused[place] = str(rejected)
    pairs: list[ImportRow] = []
    for good, bad in zip(*sides.values(), strict=False):
        try:
            pairs.append(_pair(rows[good], rows[bad]))
        except RowRejected as rejected:
            refused |= dict.fromkeys((good, bad), str(rejected))
    together = min(map(len, sides.values()))
    alone = [place for places in sides.values() for place in places[together:]]
    return pairs, refused | dict.fromkeys(alone, ALONE)


def _pair(good: Fields, bad: Fields) -> ImportRow:
    texts = [completion_field(row.get("completion"), "completion") for row in (good, bad)]
    prompt = prompt_field(good)
    prompt_field(bad)
    (row,) = decided(good, prompt, texts[0], texts[1])
    return row.of_lines(2)
