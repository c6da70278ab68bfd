"""The shapes of rows that are understood, and which of them a file has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from annotation.exchange.records import ImportFailed, ImportRow

from .judged import preference_row, transcript_row, votes_row
from .plain import pair_row, prompt_row

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """`fits` looks at the fields of a row only; `parse` turns it into an `ImportRow` or rejects it."""

    key: str
    name: str
    judged: bool
    fits: Callable[[Fields], bool]
    parse: Callable[[Fields], ImportRow]


def _has(fields: Fields, *names: str) -> bool:
    return all(name in fields for name in names)


def _has_texts(fields: Fields) -> bool:
    return (
        _has(fields, "completions")
        or _has(fields, "completion_a", "completion_b")
        or _has(fields, "a1", "a2")
    )


def _has_prompt(fields: Fields) -> bool:
    return _has(fields, "prompt") or _has(fields, "messages") or _has(fields, "debate_title")


def _is_transcript(fields: Fields) -> bool:
    chosen = fields.get("chosen")
    return not _has(fields, "prompt") and isinstance(chosen, str) and "\n\nHuman:" in chosen


def _is_preference(fields: Fields) -> bool:
    if not _has(fields, "chosen", "rejected"):
        return False
    return _has(fields, "prompt") or isinstance(fields["chosen"], list)


SHAPES: Mapping[str, Shape] = {
    shape.key: shape
    for shape in (
        Shape(
            "votes",
            "a prompt, two completions and named raters' votes",
            True,
            lambda f: _has(f, "votes") and _has_texts(f),
            votes_row,
        ),
        Shape(
            "hh", "chosen and rejected transcripts (HH-RLHF)", True, _is_transcript, transcript_row
        ),
        Shape("preferences", "prompt, chosen, rejected", True, _is_preference, preference_row),
        Shape(
            "pairs",
            "a prompt and two completions, not judged",
            False,
            lambda f: _has_texts(f) and _has_prompt(f),
            pair_row,
        ),
        Shape("prompts", "prompts alone", False, _has_prompt, prompt_row),
    )
}


def shape_of(fields: Fields, *, line_number: int) -> Shape:
    """The first shape that fits the fields of a row; `ImportFailed` says what they were."""
    for shape in SHAPES.values():
        if shape.fits(fields):
            return shape
    found = ", ".join(sorted(fields)[:12]) or "nothing"
    raise ImportFailed(
        f"Line {line_number} has the fields {found}, which fit no shape that is understood. Rows need"
        " chosen and rejected (with a prompt, or as Human/Assistant transcripts); or a prompt with two"
        " completions, with or without votes; or a prompt alone."
    )


def shape_named(key: str) -> Shape:
    if key not in SHAPES:
        raise ImportFailed(f"There is no format {key!r}; use auto, {', '.join(SHAPES)}.")
    return SHAPES[key]
