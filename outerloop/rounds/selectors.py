"""Reads of lines and rounds."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet

from annotation import facade as annotation
from evaluation.contracts import StateEntry
from web.clock import Now, from_now

from .models import ENDS, PolicyLine, Round, RoundStep, State
from .plan import RoundPlan


def line_plan(line: PolicyLine) -> RoundPlan:
    """The plan of the line's next round; raises `ContractError` for a stored plan that is wrong."""
    return RoundPlan.from_json(line.plan)


def active_round(line: PolicyLine) -> Round | None:
    return line.rounds.exclude(state__in=ENDS).first()


def last_round(line: PolicyLine, *, before: Round | None = None) -> Round | None:
    rounds = line.rounds.order_by("-number")
    if before is not None:
        rounds = rounds.filter(number__lt=before.number)
    return rounds.first()


def last_used_moment(line: PolicyLine, *, before: Round | None = None) -> datetime | None:
    """When the latest round that uses labels was started (of those before a round): labels since then are fresh.

    A round uses them while it is under way, and for good once it has reached a decision. One that
    failed or was cancelled before has decided nothing: its labels are as fresh as they were.
    """
    learned = line.rounds.filter(snapshot__isnull=False)
    if before is not None:
        learned = learned.filter(number__lt=before.number)
    undecided = learned.filter(state__in=[State.FAILED, State.CANCELLED], verdict="")
    latest = learned.exclude(pk__in=undecided).order_by("-number").first()
    return latest.created_at if latest else None


def fresh_labels(line: PolicyLine) -> int:
    return annotation.fresh_label_count(line_id=line.id, since=last_used_moment(line))


def active_rounds() -> QuerySet[Round]:
    return Round.objects.exclude(state__in=ENDS).select_related("line")


def rounds_without_worker() -> list[Round]:
    """Active rounds whose present step nobody holds: their message was lost, or their worker died."""
    held = RoundStep.objects.filter(finished_at__isnull=True, lease_expires_at__gt=Now())
    return [
        round_
        for round_ in active_rounds()
        if not held.filter(round=round_, name=round_.state).exists()
    ]


def rounds_just_ended(within: timedelta) -> QuerySet[Round]:
    """Rounds that ended a short while ago: their worker may have died before it told anybody."""
    ended = Round.objects.filter(state__in=ENDS, closed_at__gt=from_now(-within))
    return ended.select_related("line")


def round_steps(round_: Round) -> tuple[StateEntry, ...]:
    """The steps that the round has entered, in their order: what its page and its report read."""
    return tuple(
        StateEntry(
            name=step.name,
            label=step.get_name_display(),
            entered_at=(step.started_at or step.entered_at).isoformat(),
            left_at=step.finished_at.isoformat() if step.finished_at else "",
            note=step.note,
            read=tuple(step.read),
            wrote=tuple(step.wrote),
            run=str(step.run) if step.run else "",
        )
        for step in round_.steps.order_by("position")
    )


def failed_step(round_: Round) -> RoundStep | None:
    """The step in which a failed or cancelled round stopped."""
    return round_.steps.filter(finished_at__isnull=True).order_by("-entered_at").first()
