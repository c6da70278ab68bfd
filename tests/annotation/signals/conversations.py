"""Answers of a policy and thumbs on them, by the services that the policy server calls."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable

from annotation import facade as annotation
from annotation.comparisons.digests import PROMPT_SHARES, root_hash, split_drawn

_numbers = itertools.count(1)


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def answered(
    line: uuid.UUID, version: uuid.UUID, messages: list[dict[str, str]], text: str = "At noon."
) -> str:
    """An answer that is kept, and its id."""
    name = f"chatcmpl-{next(_numbers)}"
    annotation.completion_keep(
        completion_id=name, line_id=line, version_id=version, messages=messages, text=text
    )
    return name


def thumbs_given(
    line: uuid.UUID,
    version: uuid.UUID,
    messages: list[dict[str, str]],
    users: Iterable[str],
    thumb: str = "down",
) -> None:
    """Each user asks the same and gives a thumb on the own answer."""
    for user in users:
        name = answered(line, version, messages)
        signal = annotation.NewSignal(name, user=user, thumb=thumb)
        annotation.signal_give(line_id=line, signal=signal)


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def falling_on(split: str, number: int = 0) -> str:
    """A question whose root is drawn to that side of the split."""
    texts = [f"When is high tide at pier {i}?" for i in range(400)]
    return [t for t in texts if split_drawn(root_hash(asked(t)), PROMPT_SHARES) == split][number]
