"""Demonstrations that fit, as token ids."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from training.core.data.conversations import Encoded, demonstration_encode
from training.core.data.json_lines import Message


def demonstration(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, max_length: int
) -> Encoded:
    """One that must not be dropped."""
    encoded = demonstration_encode(tokenizer, messages, max_length=max_length)
    assert encoded is not None
    return encoded
