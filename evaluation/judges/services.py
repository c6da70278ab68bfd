"""Writes: a line's judge, and one try of it on two texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING
from uuid import UUID

from evaluation.contracts import JudgeSettings
from evaluation.judges.client import JudgeSilent, JudgeStopped, judge_asked, request_body
from evaluation.judges.models import LineJudge
from evaluation.judges.selectors import with_rubric
from evaluation.judges.wording import PairToJudge, Read, judge_messages, verdict_read
from web.outgoing import target_of
from web.registry import line_name
from web.services import audit_record

if TYPE_CHECKING:
    from web.access import User

# A page waits for a try: one attempt, in each order, of so many seconds at most.
TRY_SECONDS = 8.0


@dataclass(frozen=True)
class TriedAnswer:
    """What the judge was asked in one order; `answer` and `verdict` are None where it was not asked, and
    `error` says why there is none."""

    messages: Sequence[dict[str, str]]
    answer: str | None = None
    verdict: Read | None = None
    error: str = ""


def judge_save(*, line_id: UUID, settings: JudgeSettings, active: bool, actor: User) -> LineJudge:
    """Set the judge that the line's next rounds ask. Raises `OutgoingRefused` for an address of a form that
    is never asked."""
    target_of(settings.chat_url)
    judge, _ = LineJudge.objects.update_or_create(
        line=line_id,
        defaults={"settings": settings.to_json(), "active": active, "saved_by": str(actor.pk)},
    )
    audit_record(
        actor=actor,
        verb="set the judge" if active else "switched the judge off",
        target=line_name(line_id),
        line=line_id,
        detail={"url": settings.url, "model": settings.model},
    )
    return judge


def judge_try(
    *, line_id: UUID, settings: JudgeSettings, prompt: str, texts: tuple[str, str], ask: bool
) -> tuple[TriedAnswer, ...]:
    """Both questions about two texts, and with `ask` the judge's answers; nothing is kept."""
    full, _ = with_rubric(settings, line_id)
    once = replace(full, attempts=1, seconds=min(full.seconds, TRY_SECONDS))
    pair = PairToJudge("try", "try", [{"role": "user", "content": prompt}], *texts)
    tried = []
    for order in (True, False):
        messages = judge_messages(pair.messages, *pair.shown(order), rubric=full.rubric)
        tried.append(_tried(once, messages) if ask else TriedAnswer(messages))
    return tuple(tried)


def _tried(settings: JudgeSettings, messages: list[dict[str, str]]) -> TriedAnswer:
    try:
        reply = judge_asked(settings, request_body(settings, messages), halt=Event())
    except (JudgeStopped, JudgeSilent) as error:
        return TriedAnswer(messages, error=str(error))
    return TriedAnswer(messages, reply.text, verdict_read(reply.text))
