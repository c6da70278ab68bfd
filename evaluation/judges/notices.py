"""Telling a line's leads and engineers that the LLM judge of a round could not be asked."""

from __future__ import annotations

from django.urls import reverse

from evaluation.judges.models import JudgeRun
from web.access import STAFF, people_with
from web.registry import line_name
from web.services import notice_send


def judge_silent_tell(run: JudgeRun, reason: str) -> None:
    """One notice a person and round; the round goes on without the judge."""
    notice_send(
        users=people_with(*STAFF, line_id=run.line),
        topic=f"judge {run.round}",
        level="attention",
        text=f"The LLM judge of {line_name(run.line)} could not be asked: {reason} The round goes on.",
        url=reverse("judges:judge", args=[run.line]),
        line=run.line,
    )
