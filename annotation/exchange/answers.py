"""Files of better and worse answers, read for who does not store them: the shapes of imports, and lists of answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotation.comparisons.scale import TIE
from annotation.contracts import BetterAnswers
from annotation.exchange.reading import SourceRow, rows_read
from annotation.exchange.records import ImportFailed, RowRejected
from annotation.exchange.shapes.fields import LONGEST_NAME, text_field
from annotation.exchange.shapes.messages import has_prompt, prompt_field
from annotation.exchange.shapes.preferences import (
    CHOSEN,
    is_preference,
    is_transcripts,
    preference_row,
    transcript_row,
)
from annotation.exchange.shapes.texts import completion_field
from annotation.exchange.shapes.tracked import Fields

SUBSETS = ("subset", "category", "domain", "source")
NAMED = 5  # rows that a refusal names
STYLES = 3  # answers to a prompt of RM-Bench on either side, from terse to embellished


def better_answers_read(path: Path) -> Iterator[BetterAnswers]:
    """The rows of a file (JSON lines, a JSON array, CSV, Parquet ..., packed or not), one after the other.

    `chosen` and `rejected` beside a prompt, as whole transcripts or conversations, or as lists of answers
    (RewardBench 2, RM-Bench). Where rows do not fit, `ImportFailed` at the end names the first of them.
    """
    bad: list[str] = []
    for row in rows_read(path):
        try:
            yield _answers(row)
        except RowRejected as error:
            bad.append(f"{'Line' if row.content else 'Row'} {row.number}: {error}")
    if bad:
        more = f" So it is with {len(bad) - NAMED:,} more rows." if len(bad) > NAMED else ""
        raise ImportFailed(f"{' '.join(bad[:NAMED])}{more}")


def _answers(row: SourceRow) -> BetterAnswers:
    if row.fields is None:
        raise RowRejected(row.problem)
    fields = Fields(row.fields)
    if any(_lists_texts(fields.get(name)) for name in CHOSEN):
        messages = prompt_field(fields)
        chosen, rejected = (_texts(fields.get(name), name) for name in CHOSEN)
    else:
        messages, chosen, rejected = _one_of_each(fields)
    if same := next((text for text in chosen if text in rejected), None):
        raise RowRejected(f"{same[:60]!r} is both chosen and rejected.")
    rm_bench = len(chosen) == len(rejected) == STYLES and "domain" in fields
    return BetterAnswers(
        messages=messages,
        chosen=chosen,
        rejected=rejected,
        subset=_subset(fields),
        by_style=rm_bench and "subset" not in fields,
    )


def _lists_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of answers, or one."""
    if not _lists_texts(value):
        return (completion_field(value, name),)
    if not value:
        raise RowRejected(f"{name} is an empty list; it should hold an answer.")
    return tuple(text_field(text, f"{name}[{n}]") for n, text in enumerate(value))


def _one_of_each(
    fields: Fields,
) -> tuple[tuple[dict[str, str], ...], tuple[str, ...], tuple[str, ...]]:
    if is_transcripts(fields):
        row = transcript_row(fields)[0]
    elif is_preference(fields):
        row = preference_row(fields)[0]
    else:
        absent = next((name for name in CHOSEN if fields.get(name) is None), "")
        if not absent and not has_prompt(fields):
            absent = "prompt"
        raise RowRejected(f"there is no {absent or 'prompt with chosen and rejected'}.")
    if row.votes[0].value == TIE:
        raise RowRejected("a tie has no better answer; leave the row out.")
    assert row.texts is not None, "a preference has two texts"
    chosen, rejected = row.texts
    return row.messages, (chosen,), (rejected,)


def _subset(fields: Fields) -> str:
    """What the row's group is called, by the first of `SUBSETS` that it has."""
    value = next((fields.get(name) for name in SUBSETS if fields.get(name) not in (None, "")), "")
    if not isinstance(value, str | int):
        raise RowRejected("the subset should be a short text.")
    if len(str(value)) > LONGEST_NAME:
        raise RowRejected(f"the subset has more than {LONGEST_NAME} characters.")
    return text_field(str(value), "subset", empty=True).strip()
