"""Hashes that identify prompts, groups and pairs, and draws that repeat because they are hashes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from math import inf

from annotation.contracts import AnnotationError, Message

from .models import Split

Shares = Mapping[str, float]
_ROOT = re.compile("[0-9a-f]{64}")

# Where prompts will be answered by policies: some are kept for candidate against incumbent.
PROMPT_SHARES: Shares = {
    Split.TRAIN: 0.7,
    Split.VALIDATION: 0.1,
    Split.TEST: 0.1,
    Split.EVALUATION: 0.1,
}
# Where completions came with the prompt, judged already or to be judged: a label on an evaluation prompt
# would never train, and no policy needs to be judged on these.
JUDGED_SHARES: Shares = {Split.TRAIN: 0.8, Split.VALIDATION: 0.1, Split.TEST: 0.1}


def sha256(*parts: str) -> str:
    """One hash over texts, unambiguous about where one ends and the next begins."""
    listed = f"[{', '.join(map(encode_basestring, parts))}]"  # as JSON, without building an encoder
    return hashlib.sha256(listed.encode()).hexdigest()


def uniform(*parts: str) -> float:
    """A number in [0, 1) that is as good as random and always the same for the same parts."""
    return int(sha256(*parts)[:13], 16) / 16**13


def root_hash(messages: Sequence[Message], group: str = "") -> str:
    """The group if one is named, else the root conversation: its first message by the user.

    Case and spacing do not count, so that a retyped question stays on its side of the split.
    """
    if group:
        return sha256("group", _plain(group))
    first = next((m for m in messages if m["role"] == "user"), messages[0])
    return sha256("root", _plain(first["content"]))


def is_root(text: str) -> bool:
    """Whether the text is written as roots are, which nobody calls a group of their own."""
    return _ROOT.fullmatch(text) is not None


def prompt_digest(messages: Sequence[Message], root: str) -> str:
    return sha256(root, *(part for m in messages for part in (m["role"], m["content"])))


def conversation_digest(messages: Sequence[Message]) -> str:
    """The same for the same conversation typed again: case and spacing do not count."""
    return sha256(*(part for m in messages for part in (m["role"], _plain(m["content"]))))


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def pair_digest(prompt_digest: str, text_digests: Sequence[str]) -> str:
    """The same for the same texts in any order."""
    return sha256(prompt_digest, *sorted(text_digests))


def split_drawn(root: str, shares: Shares) -> str:
    """The split of a root that is new to its line: its hash, as a number in [0, 1), laid on the shares
    in their order."""
    total = sum(shares.values())
    if not 0 < total < inf or min(shares.values()) < 0 or set(shares) - set(Split.values):
        raise AnnotationError(
            f"The shares {dict(shares)} do not divide into {', '.join(Split.values)}: use numbers"
            " of 0 or more that do not all vanish."
        )
    place = int(root[:13], 16) / 16**13 * total
    for split, share in shares.items():
        place -= share
        if place < 0:
            return str(split)
    return str(next(split for split, share in reversed(list(shares.items())) if share > 0))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
