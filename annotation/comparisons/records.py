"""What the queue and the access function hand to a page: plain frozen values, no model instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from annotation.contracts import AnnotationError, Message

# Keys of the flags a rater may raise; "KEY:left" or "KEY:right" is about one side only, or of ranked answers
# "KEY:3" about the third as shown.
FLAGS: Mapping[str, str] = {
    "unsafe": "Unsafe",
    "refusal": "Refusal",
    "off_topic": "Off topic",
    "wrong_fact": "Wrong fact",
    "broken_text": "Broken text",
}
# Keys of the reasons a rater may tick for a preference, beside what they write.
REASONS: Mapping[str, str] = {
    "correct": "More correct",
    "complete": "More complete",
    "follows": "Does what was asked",
    "clear": "Clearer",
    "brief": "Briefer",
    "safe": "Safer",
    "style": "Better tone or style",
}
SKIP_REASONS: Mapping[str, str] = {
    "cannot_judge": "I cannot judge this",
    "not_understood": "The question is unclear",
    "uncomfortable": "I would rather not read this",
    "technical": "The page shows it wrongly",
    "conflict": "I know the author or the case",
}
LONGEST_TEXT = 10_000
MOST_SPANS = 100  # marked parts of one answer


class NotYours(AnnotationError):
    """No such assignment for this rater; the same words whether it exists or not."""


class GuidelinesUnread(AnnotationError):
    """The rater must acknowledge `number` of the guidelines first."""

    def __init__(self, version_id: int, number: int) -> None:
        self.version_id = version_id
        self.number = number
        super().__init__(f"Read and acknowledge version {number} of the guidelines first.")


class OptInMissing(AnnotationError):
    """The campaign warns of its content, and the rater has not agreed to see it."""

    def __init__(self) -> None:
        super().__init__(
            "This campaign shows content that may disturb. Read its warning and agree to it first."
        )


class QueueClosed(AnnotationError):
    """The campaign gives out nothing now, or not to this rater."""


class AnswerInvalid(AnnotationError):
    """An answer that cannot be recorded; the message names the field."""


class AnswerFixed(AnnotationError):
    """An answer that can no longer be changed."""


class ConversationMoved(AnnotationError):
    """A message to a conversation that is not where its writer saw it."""

    def __init__(self) -> None:
        super().__init__(
            "This conversation has gone on in another tab or on another device. What you wrote is kept here; it"
            " is shown below where the conversation is now."
        )


@dataclass(frozen=True)
class Lease:
    """A pair held for a rater until `expires_at`."""

    assignment_id: UUID
    expires_at: datetime


@dataclass(frozen=True)
class Span:
    """A marked part of the answer on `side` ("left", "right", or of ranked answers "1", "2", ...): from `start` up
    to `end`, in characters (Unicode code points) of the text as the rater reads it, with the key of a label."""

    side: str
    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Answer:
    """What a rater says, in the order shown: `values` by criterion key, 1 left much better .. 7.

    `flags` are keys of `FLAGS`, each alone or with ":left" or ":right"; `reasons` are keys of `REASONS`.
    Where answers are ranked `values` is empty and `ranking` has the level of each answer in the order shown, 1
    the best, equal ones a tie; flags then name a place, as ":3".
    """

    values: Mapping[str, int]
    both_bad: bool = False
    flags: tuple[str, ...] = ()
    rationale: str = ""
    seconds: float | None = None
    reasons: tuple[str, ...] = ()
    ranking: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()


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
    """All that a rater may know of a pair, or of the `answers` to be ranked, in the order shown: no model, no
    purpose, nobody else's answer. `ended` says of each whether it was not cut off."""

    assignment_id: UUID
    campaign_id: UUID
    state: str
    messages: tuple[MessageView, ...]
    answers: tuple[str, ...]
    ended: tuple[bool, ...]
    draft: Mapping[str, Any] = field(default_factory=dict)
    draft_saved_at: datetime | None = None
    answer: Answer | None = None

    @property
    def left(self) -> str:
        return self.answers[0]

    @property
    def right(self) -> str:
        return self.answers[1]

    @property
    def left_ended(self) -> bool:
        return self.ended[0]

    @property
    def right_ended(self) -> bool:
        return self.ended[1]


@dataclass(frozen=True)
class Talk:
    """Where a rater's conversation with the policy stands: `turn` is compared now where `waits` names its
    assignment, else it is to be written next. `messages` are as the policy reads them. One that is `over`
    has no next turn; without an `id` none has begun."""

    id: UUID | None = None
    turn: int = 1
    messages: tuple[Message, ...] = ()
    waits: UUID | None = None
    over: bool = False

    @property
    def under_way(self) -> bool:
        return self.id is not None and not self.over

    @property
    def said(self) -> str:
        """The message that waits for its answers to be compared; empty where none does."""
        return self.messages[-1]["content"] if self.waits else ""


@dataclass(frozen=True)
class Progress:
    """`today` counts since local midnight; `median_seconds` is over the last 100 answers."""

    today: int
    total: int
    daily_goal: int
    median_seconds: float | None
