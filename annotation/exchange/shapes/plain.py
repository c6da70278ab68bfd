"""Rows that nobody has judged yet: prompts, and pairs of completions for the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.exchange.records import ImportRow

from .fields import identifier_field, prompt_field, split_field, tags_field, texts_field


def prompt_row(fields: Mapping[str, Any]) -> ImportRow:
    """{"prompt": text or messages} or {"messages"}, with optional id, group, split, tags."""
    return ImportRow(
        messages=prompt_field(fields),
        external_id=identifier_field(fields),
        split=split_field(fields),
        tags=tags_field(fields),
    )


def pair_row(fields: Mapping[str, Any]) -> ImportRow:
    """A prompt with `completions` [.., ..], `completion_a` and `completion_b`, or `a1` and `a2`."""
    return ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        external_id=identifier_field(fields),
        split=split_field(fields),
        tags=tags_field(fields),
    )
