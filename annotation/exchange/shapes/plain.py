"""Rows that nobody has judged yet: prompts, and pairs of completions for the queue."""

from __future__ import annotations

from annotation.exchange.records import ImportRow

from .fields import identifier_field, tags_field
from .messages import prompt_field
from .texts import texts_field
from .tracked import Fields


def prompt_row(fields: Fields) -> list[ImportRow]:
    """{"prompt": text or messages} or {"messages"}, with optional id, group, split, tags."""
    row = ImportRow(
        messages=prompt_field(fields),
        external_id=identifier_field(fields),
        tags=tags_field(fields),
    )
    return [row]


def pair_row(fields: Fields) -> list[ImportRow]:
    """A prompt with `completions` [.., ..], `completion_a` and `completion_b`, or `a1` and `a2`."""
    row = ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        external_id=identifier_field(fields),
        tags=tags_field(fields),
    )
    return [row]
