"""The deployed policy as rooms below the one that serves it hear it: they ask, and it answers piece by piece."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .registry import PolicyVoice, registered


class PolicySilent(RuntimeError):
    """The policy gives no answer now; the message says so to the person who asked, and what to do."""


@dataclass(frozen=True)
class WrittenBy:
    """Which model version wrote an answer, and how. `ended` is false where it was cut off; `tokens` is None
    where nobody counted them."""

    model_version: UUID
    artifact_sha256: str
    sampling: Mapping[str, Any]
    ended: bool
    tokens: int | None = None


@dataclass(frozen=True)
class Spoken:
    """A piece of the answer number `place`, counted from 0 as the seeds are; the last of each answer has no
    text and tells who wrote it. A piece with neither is a sign of life."""

    place: int = 0
    text: str = ""
    by: WrittenBy | None = None


def policy_asked(
    *, line_id: UUID, messages: Sequence[Mapping[str, str]], seeds: Sequence[int]
) -> Generator[Spoken]:
    """What the line's deployed policy answers. Raises `PolicySilent`, also in the middle."""
    voices = registered(PolicyVoice)
    if not voices:
        raise PolicySilent("No policy server belongs to this installation.")
    yield from voices[0].ask(line_id, messages, seeds)
