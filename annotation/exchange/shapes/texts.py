"""The completions of a row, whatever it calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.exchange.records import RowRejected

from .fields import text_field
from .messages import messages_field
from .tracked import Fields

# The two completions of a row that keeps each in a field of its own: A and B, 0 and 1, 1 and 2.
COUPLES: Sequence[tuple[str, str]] = (
    ("completion_a", "completion_b"),
    ("a1", "a2"),
    *(
        (f"{word}{first}", f"{word}{second}")
        for word in ("response", "answer", "output", "completion", "summary", "text", "reply")
        for first, second in (
            ("_a", "_b"), ("_A", "_B"), ("_0", "_1"), ("_1", "_2"), ("1", "2"), ("A", "B"),
            ("-a", "-b"), ("-1", "-2"), ("0", "1"),
        )
    ),
)  # fmt: skip
# Where one completion is kept as an object, its text is in one of these.
TEXTS = ("text", "content", "response", "answer", "completion", "value", "body")
LISTS = ("completions", "responses", "answers", "candidates", "outputs", "generations")


def couple_of(fields: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((c for c in COUPLES if c[0] in fields and c[1] in fields), None)


def has_two(fields: Mapping[str, Any]) -> bool:
    return "completions" in fields or couple_of(fields) is not None


def list_of(fields: Mapping[str, Any]) -> str:
    """The field that lists completions, or ""."""
    return next((name for name in LISTS if isinstance(fields.get(name), list)), "")


def texts_field(fields: Mapping[str, Any]) -> tuple[str, str]:
    """The two completions of a row that does not say which is better."""
    couple = couple_of(fields)
    if "completions" in fields or couple is None:
        found = fields.get("completions")
        if not isinstance(found, list) or len(found) != 2:
            raise RowRejected("completions should be a list of two.")
        named = [(found[0], "completions[0]"), (found[1], "completions[1]")]
    else:
        named = [(fields[key], key) for key in couple]
    first, second = (completion_field(value, name) for value, name in named)
    return first, second


def completion_field(value: Any, name: str) -> str:
    """A completion as text, as an object with it, or as one assistant message (in a list or alone)."""
    if isinstance(value, list):
        messages = messages_field(value, name)
        if len(messages) != 1 or messages[0]["role"] != "assistant":
            raise RowRejected(f"{name} should be one message of the assistant.")
        return messages[0]["content"]
    if isinstance(value, Fields) and ("role" in value or "from" in value):
        return completion_field([value], name)
    if isinstance(value, Fields):
        key = next((key for key in TEXTS if value.get(key) is not None), "text")
        return text_field(value.get(key), f"{name}.{key}")
    return text_field(value, name)
