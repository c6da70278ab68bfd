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
from annotation.campaigns.models import Campaign

from .blinding import blinded, secrets_of
from .levels import levels_shown, sides_of
from .models import (
    Assignment,
    AssignmentState,
    Comparison,
    Judgment,
    Purpose,
    RaterQueue,
)
from .records import (
    Answer,
    ComparisonView,
    NotYours,
    Progress,
)
from .scale import value_turned
from .shares import gate_queues_open
from .spans import completions_shown, spans_shown

RECENT = 100  # answers from which the median time of an answer is taken


def comparison_for(*, rater: Rater, assignment_id: UUID) -> ComparisonView:
    """The only way to a pair's content. Raises `NotYours` unless it was given to this rater."""
    assignment = (
        Assignment.objects.filter(pk=assignment_id, rater=rater)
        .exclude(state__in=(AssignmentState.SKIPPED, AssignmentState.SETTLED))
        .select_related("comparison__prompt", "comparison__campaign")
        .first()
    )
    if assignment is None:
        raise NotYours("You have no such pair.")
    return comparison_view(assignment)


def own_pair(*, rater: Rater, campaign: Campaign, assignment_id: UUID) -> UUID:
    """The id again, of a pair that was given to this rater in this campaign; every door asks here.

    Whoever may label in one campaign reaches by it no pair of another, in which they perhaps no longer
    may. Raises `NotYours`, in the same words whether there is such a pair or not.
    """
    rows = Assignment.objects.filter(pk=assignment_id, rater=rater, comparison__campaign=campaign)
    if not rows.exclude(state=AssignmentState.SETTLED).exists():
        raise NotYours("You have no such pair.")
    return assignment_id


def comparison_view(assignment: Assignment) -> ComparisonView:
    """What the rater of the assignment may see of its pair; the caller has checked whose it is."""
    shown = completions_shown(assignment)
    comparison = assignment.comparison
    texts, messages = blinded(
        campaign=comparison.campaign,
        messages=comparison.prompt.messages,
        texts=[c.text for c in shown],
        secrets=secrets_of(shown),
    )
    answered = assignment.state == AssignmentState.SUBMITTED
    active = assignment.judgments.get(active=True) if answered else None
    return ComparisonView(
        assignment_id=assignment.pk,
        campaign_id=assignment.comparison.campaign_id,
        state=assignment.state,
        messages=messages,
        answers=tuple(texts),
        ended=tuple(completion.ended for completion in shown),
        draft=assignment.draft,
        draft_saved_at=assignment.draft_saved_at,
        answer=answer_of(active, assignment.shown_order) if active else None,
    )


def answer_of(judgment: Judgment, shown_order: Sequence[int]) -> Answer:
    """A stored judgment as its rater gave it: in the order shown."""
    values = judgment.values.values_list("criterion__key", "value")
    sides = {slot: f":{side}" for side, slot in sides_of(shown_order).items()} | {None: ""}
    return Answer(
        values={key: value_turned(value, shown_order) for key, value in values},
        ranking=tuple(levels_shown(judgment.levels, shown_order)) if judgment.levels else (),
        both_bad=judgment.both_bad,
        flags=tuple(flag["key"] + sides[flag["slot"]] for flag in judgment.flags),
        rationale=judgment.rationale,
        reasons=tuple(judgment.reasons),
        seconds=judgment.seconds,
        spans=spans_shown(judgment),
    )


def progress_for(*, rater: Rater, campaign: Campaign) -> Progress:
    """How far the rater has come, asked in one query: every door of the compare page answers with it."""
    own = Judgment.objects.filter(
        rater=rater, active=True, assignment__comparison__campaign=campaign
    ).exclude(assignment__state=AssignmentState.SETTLED)
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
    """Whether the rater holds a pair, or one is open that they have not had and still may have; where people
    write to the policy there is always something."""
    if campaign.converses:
        return True
    held = Assignment.objects.filter(
        rater=rater, comparison__campaign=campaign, state=AssignmentState.LEASED
    )
    mine = Assignment.objects.filter(comparison=OuterRef("pk"), rater=rater)
    unmet = Comparison.objects.filter(campaign=campaign, open=True).filter(
        ~Exists(mine.exclude(state=AssignmentState.EXPIRED))
    )
    # Gold items and repeats are drawn among the others, and do not wait for anybody by themselves.
    if held.exists() or unmet.filter(purpose=Purpose.TRAINING).exists():
        return True
    queues = gate_queues_open(rater=rater, campaign=campaign)
    left = [queue.round_id for queue in queues if queue.share_left]
    return unmet.filter(purpose=Purpose.GATE, round_id__in=left).exists()


def last_settled(*, rater: Rater, campaign: Campaign, skips: bool = False) -> UUID | None:
    """The pair that the rater answered last, or with `skips` the one answered or skipped last."""
    states = [AssignmentState.SUBMITTED, *([AssignmentState.SKIPPED] if skips else [])]
    rows = Assignment.objects.filter(
        rater=rater, comparison__campaign=campaign, state__in=states
    ).order_by("-touched_at")
    return rows.values_list("pk", flat=True).first()
