"""Two answers of the deployed policy at once, and what of them may be read while they are written."""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from annotation.campaigns.models import Campaign
from annotation.contracts import Message, NewCompletion
from web.voices import Spoken, WrittenBy, policy_asked

from .blinding import blinded
from .identity import WINDOW

MOST_TRIES = 3  # second answers that are drawn anew because they were the same as the first
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f](?=\s)|\n")


@dataclass
class AnswerUnderWay:
    """An answer as far as it has come."""

    seed: int = field(default_factory=lambda: secrets.randbits(31))
    text: str = ""
    by: WrittenBy | None = None

    def take(self, spoken: Spoken) -> None:
        # What PostgreSQL cannot keep no policy means.
        self.text += _UNSTORABLE.sub("\ufffd", spoken.text)
        self.by = spoken.by or self.by

    def completion(self) -> NewCompletion:
        assert self.by is not None  # the voice gives it with the end of each answer
        return NewCompletion(
            text=self.text,
            model_version=self.by.model_version,
            artifact_sha256=self.by.artifact_sha256,
            sampling=self.by.sampling,
            seed=self.seed,
            tokens=self.by.tokens,
            ended=self.by.ended,
        )


def answers_heard(
    *, line_id: UUID, messages: Sequence[Message]
) -> Generator[tuple[AnswerUnderWay, AnswerUnderWay], None, tuple[NewCompletion, NewCompletion]]:
    """Both answers each time that more of them has come, or after a while without; whole when it returns.

    Where both are the same the second is drawn anew, `MOST_TRIES` times at most: a greedy policy has no other.
    Raises `PolicySilent`.
    """
    first, second = AnswerUnderWay(), AnswerUnderWay()
    seeds = [first.seed, second.seed]
    for spoken in policy_asked(line_id=line_id, messages=messages, seeds=seeds):
        (first, second)[spoken.place].take(spoken)
        yield first, second
    for _ in range(MOST_TRIES):
        if first.text != second.text:
            break
        other = AnswerUnderWay()
        for spoken in policy_asked(line_id=line_id, messages=messages, seeds=[other.seed]):
            other.take(spoken)
            yield first, second
        second = other
    return first.completion(), second.completion()


def read_so_far(campaign: Campaign, answers: Sequence[AnswerUnderWay]) -> tuple[str, str] | None:
    """What may be read of two answers under way, in the order given; None while it may not be told whether they
    are different at all: the same answer twice is shown to nobody.

    Of an answer that is not whole the end is held back, so that a name is hidden before it can be read: what it
    is known by may follow it.
    """
    first, second = (answer.text for answer in answers)
    if first.startswith(second) or second.startswith(first):
        return None
    texts = [answer.text if answer.by else _settled(answer.text) for answer in answers]
    left, right = blinded(campaign=campaign, messages=(), texts=texts)[0]
    return left, right


def _settled(text: str) -> str:
    """The sentences that no name in what follows can reach back to."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text, 0, max(len(text) - WINDOW, 0))]
    return text[: ends[-1]] if ends else ""
