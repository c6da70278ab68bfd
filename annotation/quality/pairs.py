"""A pair and what people said of it, for who looks after the campaign: slot 1 is A, and no model is named.

A pair that decides on a candidate is shown to nobody before the decision: who has seen its answers could
choose among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons.gold import answer_says
from annotation.comparisons.levels import letters, order_says
from annotation.comparisons.models import AssignmentState, Comparison, Judgment, JudgmentValue
from annotation.comparisons.openness import gate_undecided
from annotation.comparisons.records import FLAGS, REASONS
from annotation.comparisons.scale import answer_right
from annotation.comparisons.spans import SpanSaid, spans_said


@dataclass(frozen=True)
class AnswerSeen:
    """One person's answer in force, in letters of the slots. `right` is None but for gold items."""

    judgment_id: UUID
    who: str
    says: str
    both_bad: bool
    flags: tuple[str, ...]
    spans: tuple[SpanSaid, ...]
    rationale: str
    seconds: float | None
    at: datetime
    surplus: bool
    settles: bool
    returned: bool
    right: bool | None


@dataclass(frozen=True)
class PairShown:
    """`texts` by letter: slot 1 is A."""

    messages: tuple[Mapping[str, str], ...]
    texts: tuple[tuple[str, str], ...]


def pairs_shown(*, campaign: Campaign) -> QuerySet[Comparison, Comparison]:
    """The pairs of a campaign that may be looked at: all but those of a gate that has not decided."""
    return Comparison.objects.filter(~gate_undecided(), campaign=campaign)


def rater_name(rater: Rater) -> str:
    """The person's name for who may know it; a voter without an account by pseudonym."""
    return str(rater.user or rater.pseudonym)


def pair_shown(comparison: Comparison) -> PairShown:
    slots = comparison.slots.select_related("completion").order_by("position")
    texts = [slot.completion.text for slot in slots]
    return PairShown(
        tuple(comparison.prompt.messages), tuple(zip(letters(len(texts)), texts, strict=True))
    )


def votes_on(comparison: Comparison) -> list[AnswerSeen]:
    """The answers in force, oldest first."""
    rows = Judgment.objects.filter(assignment__comparison=comparison, active=True)
    rows = rows.select_related("rater__user", "assignment", "returned")
    overall = dict(
        JudgmentValue.objects.filter(judgment__in=rows, criterion__key=OVERALL).values_list(
            "judgment_id", "value"
        )
    )
    texts = dict(pair_shown(comparison).texts)
    return [
        _vote(comparison, row, overall.get(row.pk), texts)
        for row in rows.order_by("created_at", "pk")
    ]


def _vote(
    comparison: Comparison, judgment: Judgment, value: int | None, texts: Mapping[str, str]
) -> AnswerSeen:
    """`value` is the overall one; None where the answers were ranked. `texts` by letter."""
    known, right = comparison.gold_value, None
    if known is not None and value is not None:
        right = answer_right(value, known, comparison.gold_tolerance)
    return AnswerSeen(
        judgment_id=judgment.pk,
        who=rater_name(judgment.rater),
        says=order_says(judgment.levels or ()) if value is None else answer_says(value),
        both_bad=judgment.both_bad,
        flags=(
            *(_flag_says(flag) for flag in judgment.flags),
            *(REASONS.get(reason, reason) for reason in judgment.reasons),
        ),
        spans=spans_said(
            [(letters(s["slot"])[-1], s["start"], s["end"], s["label"]) for s in judgment.spans],
            texts,
            comparison.campaign.span_labels,
        ),
        rationale=judgment.rationale,
        seconds=judgment.seconds,
        at=judgment.created_at,
        surplus=judgment.surplus,
        settles=judgment.assignment.state == AssignmentState.SETTLED,
        returned=hasattr(judgment, "returned"),
        right=right,
    )


def _flag_says(flag: Mapping[str, Any]) -> str:
    side = f"{letters(flag['slot'])[-1]}: " if flag["slot"] else ""
    return f"{side}{FLAGS.get(flag['key'], flag['key'])}"
