"""Which shape the rows of a file have: by name, or by their fields."""

from __future__ import annotations

from annotation.exchange.records import ImportFailed, RowRejected, printable

from .guard import Raw, answers_within
from .messages import has_prompt
from .registry import ALIASES, SHAPES, Shape, Together
from .tracked import Fields

__all__ = ["ALIASES", "SHAPES", "Fields", "Shape", "Together", "shape_named", "shape_of"]


def shape_of(fields: Raw) -> Shape:
    """The first shape that fits the fields of a row; `RowRejected` says what they were."""
    for shape in SHAPES.values():
        if shape.fits(fields):
            return shape
    found = printable(", ".join(sorted(fields)[:12])) or "nothing"
    telling = answers_within(fields)
    if has_prompt(fields) and telling:
        raise RowRejected(
            f"The row has the fields {found}, which fit no shape that is understood. As"
            f" {printable(', '.join(telling[:4]))} may be answers or judgments, it is not taken as a"
            " prompt or a pair; to leave them out, give the format prompts or pairs by name."
        )
    raise RowRejected(
        f"The row has the fields {found}, which fit no shape that is understood. Rows need chosen and"
        " rejected (with a prompt, or as Human/Assistant transcripts); or a prompt with two completions,"
        " with or without votes; or a prompt alone."
    )


def shape_named(key: str) -> Shape:
    found = SHAPES.get(ALIASES.get(key, key))
    if found is None:
        raise ImportFailed(
            f"There is no format {key!r}; use auto, {', '.join([*SHAPES, *ALIASES])}."
        )
    return found
