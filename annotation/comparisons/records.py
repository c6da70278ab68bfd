"""What the queue and the access function hand to a page: plain frozen values, no model instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from annotation.contracts import AnnotationError

# Keys of the flags a rater may raise; "KEY:left" or "KEY:right" is about one side only.
FLAGS: Mapping[str, str] = {
    "unsafe": "Unsafe",
    "refusal": "Refusal",
    "off_topic": "Off topic",
    "wrong_fact": "Wrong fact",
    "broken_text": "Broken text",
}
SKIP_REASONS: Mapping[str, str] = {
    "cannot_judge": "I cannot judge this",
    "not_understood": "The question is unclear",
    "uncomfortable": "I would rather not read this",
    "technical": "The page shows it wrongly",
    "conflict": "I know the author or the case",
}
LONGEST_TEXT = 10_000


class NotYours(AnnotationError):
    """No such assignment for this rater; the same words whether it exists or not."""


class GuidelinesUnread(AnnotationError):
    """The rater must acknowledge `number` of the guidelines first."""

    def __init__(self, version_id: int, number: int) -> None:
        self.version_id = version_id
        self.number = number
        super().__init__(f"Read and acknowledge version {number} of the guidelines first.")


class QueueClosed(AnnotationError):
    """The campaign gives out nothing now, or not to this rater."""


class AnswerInvalid(AnnotationError):
    """An answer that cannot be recorded; the message names the field."""


class AnswerFixed(AnnotationError):
    """An answer that can no longer be changed."""


@dataclass(frozen=True)
class Lease:
    """A pair held for a rater until `expires_at`."""

    assignment_id: UUID
    expires_at: datetime


@dataclass(frozen=True)
class Answer:
    """What a rater says, in the order shown: `values` by criterion key, 1 left much better .. 7.

    `flags` are keys of `FLAGS`, each alone or with ":left" or ":right".
    """

    values: Mapping[str, int]
    both_bad: bool = False
    flags: tuple[str, ...] = ()
    rationale: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class SubmitOutcome:
    """`surplus`: kept, but it came after its place was taken. `repeated`: this key was known."""

    assignment_id: UUID
    judgment_id: UUID
    revision: int
    surplus: bool
    repeated: bool


@dataclass(frozen=True)
class MessageView:
    role: str
    content: str


@dataclass(frozen=True)
class ComparisonView:
    """All that a rater may know of a pair: no model, no purpose, nobody else's answer."""

    assignment_id: UUID
    campaign_id: UUID
    state: str
    messages: tuple[MessageView, ...]
    left: str
    right: str
    left_ended: bool
    right_ended: bool
    draft: Mapping[str, Any] = field(default_factory=dict)
    draft_saved_at: datetime | None = None
    answer: Answer | None = None


@dataclass(frozen=True)
class RecentAnswer:
    """A line of the rater's own history; `value` of `overall` in the order shown."""

    assignment_id: UUID
    prompt: str
    value: int
    both_bad: bool
    submitted_at: datetime


@dataclass(frozen=True)
class Progress:
    """`today` counts since local midnight; `median_seconds` is over the last 100 answers."""

    today: int
    total: int
    daily_goal: int
    median_seconds: float | None
