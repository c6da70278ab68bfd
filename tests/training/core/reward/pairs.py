"""Pairs without a tokenizer: each text is one token per character."""

from __future__ import annotations

from typing import Any

from annotation.rows import PreferenceRow
from training.core.data.conversations import Encoded
from training.core.data.pairs import EncodedPair


def pair_of(first: str, second: str, *, prompt: str = "How?", **changes: Any) -> EncodedPair:
    row: dict[str, Any] = {
        "id": f"{first}/{second}",
        "group": prompt,
        "messages": ({"role": "user", "content": prompt},),
        "completions": (first, second),
        "preference": 1.0,
        **changes,
    }
    encoded = [Encoded(tuple(map(ord, text)), (True,) * len(text)) for text in (first, second)]
    return EncodedPair(PreferenceRow(**row), encoded[0], encoded[1], (len(first), len(second)))
