"""Reads for raters: a pair as they may see it, their own history, their progress."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign

from .identity import identity_masked
from .models import (
    Assignment,
    AssignmentState,
    Comparison,
    Completion,
    Judgment,
    Prompt,
    Purpose,
    RaterQueue,
)
from .records import (
    Answer,
    ComparisonView,
    MessageView,
    NotYours,
    Progress,
    RecentAnswer,
)
from .scale import value_turned
from .shares import gate_queues_open

RECENT = 100  # answers from which the median time of an answer is taken


def comparison_for(*, rater: Rater, assignment_id: UUID) -> ComparisonView:
    """The only way to a pair's content. Raises `NotYours` unless it was given to this rater."""
    assignment = (
        Assignment.objects.filter(pk=assignment_id, rater=rater)
        .exclude(state=AssignmentState.SKIPPED)
        .select_related("comparison__prompt")
        .first()
    )
    if assignment is None:
        raise NotYours("You have no such pair.")
    shown = _completions_shown(assignment)
    secrets = [s for c in shown for s in (c.artifact_sha256, str(c.model_version or ""))]
    answered = assignment.state == AssignmentState.SUBMITTED
    active = assignment.judgments.get(active=True) if answered else None
    return ComparisonView(
        assignment_id=assignment.pk,
        campaign_id=assignment.comparison.campaign_id,
        state=assignment.state,
        messages=_messages_shown(assignment.comparison.prompt, secrets),
        left=identity_masked(shown[0].text, secrets),
        right=identity_masked(shown[1].text, secrets),
        left_ended=shown[0].ended,
        right_ended=shown[1].ended,
        draft=assignment.draft,
        draft_saved_at=assignment.draft_saved_at,
        answer=answer_of(active, assignment.shown_order) if active else None,
    )


def answer_of(judgment: Judgment, shown_order: Sequence[int]) -> Answer:
    """A stored judgment as its rater gave it: in the order shown."""
    values = judgment.values.values_list("criterion__key", "value")
    sides = {None: "", shown_order[0]: ":left", shown_order[1]: ":right"}
    return Answer(
        values={key: value_turned(value, shown_order) for key, value in values},
        both_bad=judgment.both_bad,
        flags=tuple(flag["key"] + sides[flag["slot"]] for flag in judgment.flags),
        rationale=judgment.rationale,
        seconds=judgment.seconds,
    )


def progress_for(*, rater: Rater, campaign: Campaign) -> Progress:
    """How far the rater has come, asked in one query: every door of the compare page answers with it."""
    own = Judgment.objects.filter(
        rater=rater, active=True, assignment__comparison__campaign=campaign
    )
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    today = own.filter(created_at__gte=midnight).values("rater").annotate(n=Count("pk"))
    recent = own.filter(seconds__isnull=False).order_by("-created_at").values("seconds")
    queue = RaterQueue.objects.filter(rater=rater, campaign=campaign)
    found = Campaign.objects.filter(pk=campaign.pk).values(
        total=Coalesce(Subquery(queue.values("labels")), 0),
        today=Coalesce(Subquery(today.values("n")), 0),
        seconds=ArraySubquery(recent[:RECENT]),
    )[0]
    return Progress(
        today=found["today"],
        total=found["total"],
        daily_goal=campaign.daily_goal,
        median_seconds=statistics.median(found["seconds"]) if found["seconds"] else None,
    )


def pairs_available(*, rater: Rater, campaign: Campaign) -> bool:
    """Whether the rater holds a pair, or one is open that they have not had and still may have."""
    held = Assignment.objects.filter(
        rater=rater, comparison__campaign=campaign, state=AssignmentState.LEASED
    )
    mine = Assignment.objects.filter(comparison=OuterRef("pk"), rater=rater)
    unmet = Comparison.objects.filter(campaign=campaign, open=True).filter(
        ~Exists(mine.exclude(state=AssignmentState.EXPIRED))
    )
    if held.exists() or unmet.exclude(purpose=Purpose.GATE).exists():
        return True
    queues = gate_queues_open(rater=rater, campaign=campaign)
    left = [queue.round_id for queue in queues if queue.share_left]
    return unmet.filter(purpose=Purpose.GATE, round_id__in=left).exists()


def recent_answers(*, rater: Rater, campaign: Campaign, limit: int = 10) -> list[RecentAnswer]:
    """The rater's last answers, newest first; the first is the one that undo takes back."""
    rows = (
        Assignment.objects.filter(
            rater=rater, comparison__campaign=campaign, state=AssignmentState.SUBMITTED
        )
        .select_related("comparison__prompt")
        .order_by("-submitted_at")[:limit]
    )
    return [_recent_answer(row) for row in rows]


def _recent_answer(assignment: Assignment) -> RecentAnswer:
    active = assignment.judgments.get(active=True)
    assert assignment.submitted_at is not None
    return RecentAnswer(
        assignment_id=assignment.pk,
        prompt=str(assignment.comparison.prompt),
        value=answer_of(active, assignment.shown_order).values[OVERALL],
        both_bad=active.both_bad,
        submitted_at=assignment.submitted_at,
    )


def _completions_shown(assignment: Assignment) -> list[Completion]:
    slots = assignment.comparison.slots.select_related("completion")
    by_position = {slot.position: slot.completion for slot in slots}
    return [by_position[position] for position in assignment.shown_order]


def _messages_shown(prompt: Prompt, secrets: list[str]) -> tuple[MessageView, ...]:
    return tuple(
        MessageView(
            m["role"],
            identity_masked(m["content"], secrets) if m["role"] == "assistant" else m["content"],
        )
        for m in prompt.messages
    )
