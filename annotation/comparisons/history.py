"""What a rater has done so far: answers, skips and drafts, found again by text, date, campaign and kind."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL

from .levels import letters, order_says, sides_of
from .models import Assignment, AssignmentState
from .openness import fixed_why
from .page_texts import scale_steps
from .records import REASONS, SKIP_REASONS, Answer, ComparisonView
from .scale import HIGHEST, LOWEST, TIE
from .selectors import comparison_view
from .spans import SpanSaid, spans_said

MOST_FOUND = 200  # a text is looked for among what is shown, which takes reading each pair
EXCERPT = 160
KINDS = {
    "answered": "Answered", "a": "A was better", "tie": "Tie", "b": "B was better", "both_bad": "Both bad",
    "skipped": "Skipped", "draft": "Parked and drafts",
}  # fmt: skip
Rows = QuerySet[Assignment, Assignment]


@dataclass(frozen=True)
class Wanted:
    text: str = ""
    campaign: UUID | None = None
    kind: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class OwnAnswerRow:
    """`says` is what the rater did, in words; `act` opens the pair at `url`; where it is empty `fixed` says
    why it is not open any more."""

    campaign: str
    prompt: str
    says: str
    rationale: str
    reasons: tuple[str, ...]
    flags: int
    spans: tuple[SpanSaid, ...]
    at: datetime
    act: str
    url: str
    fixed: str


def history(*, rater: Rater, lines: Collection[UUID] | None, wanted: Wanted) -> tuple[Rows, bool]:
    """The rater's pairs on these lines (None: every line) that are wanted, to be paged by
    (-touched_at, -id); and whether more were found by their text than are looked through."""
    rows = Assignment.objects.filter(rater=rater).filter(_done())
    if lines is not None:
        rows = rows.filter(comparison__campaign__line__in=lines)
    if wanted.campaign is not None:
        rows = rows.filter(comparison__campaign=wanted.campaign)
    if wanted.since is not None:
        rows = rows.filter(touched_at__date__gte=wanted.since)
    if wanted.until is not None:
        rows = rows.filter(touched_at__date__lte=wanted.until)
    rows = rows.filter(_kind(wanted.kind)).select_related(
        "comparison__campaign", "comparison__prompt"
    )
    return _with_text(rows, wanted.text) if wanted.text else (rows, False)


def history_row(assignment: Assignment) -> OwnAnswerRow:
    view = comparison_view(assignment)
    active = view.answer
    given: Any = active.rationale if active else view.draft.get("rationale", "")
    fixed = _fixed(assignment)
    address = reverse("comparisons:compare", args=[view.campaign_id])
    return OwnAnswerRow(
        campaign=assignment.comparison.campaign.name,
        prompt=view.messages[-1].content[:EXCERPT],
        says=_says(assignment, active),
        rationale=given,
        reasons=tuple(REASONS.get(key, key) for key in (active.reasons if active else ())),
        flags=len(active.flags) if active else len(view.draft.get("flags", [])),
        spans=_marks(assignment, view),
        at=assignment.touched_at,
        act="" if fixed else _act(assignment.state),
        url=f"{address}?open={assignment.pk}",
        fixed=fixed,
    )


def _marks(assignment: Assignment, view: ComparisonView) -> tuple[SpanSaid, ...]:
    """The parts that the rater marked, in the answer or in the draft, as they read them."""
    sides = sides_of(assignment.shown_order)
    named = dict(zip(sides, letters(len(sides)), strict=True))
    marks: list[dict[str, Any]] = (
        [asdict(span) for span in view.answer.spans] if view.answer else view.draft.get("spans", [])
    )
    return spans_said(
        [(named.get(m["side"], ""), m["start"], m["end"], m["label"]) for m in marks],
        dict(zip(named.values(), view.answers, strict=True)),
        assignment.comparison.campaign.span_labels,
    )


def _done() -> Q:
    """Answers and skips, and of the pairs not finished those with a draft. What an adjudicator settled is
    no answer of a rater's."""
    unfinished = Q(state__in=(AssignmentState.LEASED, AssignmentState.EXPIRED))
    settled = Q(state=AssignmentState.SETTLED)
    return ~unfinished & ~settled | (unfinished & (~Q(draft={}) | Q(parked_at__isnull=False)))


def _kind(kind: str) -> Q:
    if kind == "skipped":
        return Q(state=AssignmentState.SKIPPED)
    if kind == "draft":
        return Q(state__in=(AssignmentState.LEASED, AssignmentState.EXPIRED))
    if kind == "answered":
        return Q(state=AssignmentState.SUBMITTED)
    active = Q(judgments__active=True)
    if kind == "both_bad":
        return active & Q(judgments__both_bad=True)
    straight, turned = Q(shown_order__0=1), Q(shown_order__0=2)
    first, second = (LOWEST, TIE - 1), (TIE + 1, HIGHEST)
    sides = {"a": (first, second), "b": (second, first), "tie": ((TIE, TIE), (TIE, TIE))}.get(kind)
    if sides is None:
        return Q()
    value, overall = "judgments__values__value__range", Q(judgments__values__criterion__key=OVERALL)
    return active & overall & (straight & Q(**{value: sides[0]}) | turned & Q(**{value: sides[1]}))


def _with_text(rows: Rows, text: str) -> tuple[Rows, bool]:
    """Those in which the rater has seen or written the text. What is hidden from them is not looked in:
    else a search would tell which answer names its model."""
    quoted = json.dumps(text, ensure_ascii=False)[1:-1]
    anywhere = (
        Q(said__icontains=quoted)
        | Q(comparison__slots__completion__text__icontains=text)
        | Q(judgments__active=True, judgments__rationale__icontains=text)
        | Q(draft__rationale__icontains=text)
    )
    found = rows.annotate(said=Cast("comparison__prompt__messages", TextField())).filter(anywhere)
    newest = list(found.distinct().order_by("-touched_at", "-id")[: MOST_FOUND + 1])
    kept = [row.pk for row in newest[:MOST_FOUND] if text.casefold() in _seen(row).casefold()]
    return rows.filter(pk__in=kept), len(newest) > MOST_FOUND


def _seen(assignment: Assignment) -> str:
    view = comparison_view(assignment)
    wrote = view.answer.rationale if view.answer else str(view.draft.get("rationale", ""))
    return "\n".join([*(m.content for m in view.messages), *view.answers, wrote])


def _says(assignment: Assignment, active: Answer | None) -> str:
    if assignment.state == AssignmentState.SKIPPED:
        reason = SKIP_REASONS.get(assignment.skip_reason, assignment.skip_reason)
        return _("Skipped: {reason}").format(reason=reason)
    if active is None:
        return _("Parked") if assignment.parked_at else _("Draft")
    return answer_says(active)


def answer_says(answer: Answer) -> str:
    """An answer in a few words, in the order shown."""
    if answer.ranking:
        order = _("Best first: {order}").format(order=order_says(answer.ranking))
        return f"{order} · {_('all are bad')}" if answer.both_bad else order
    if answer.both_bad:
        return _("Both are bad")
    return str(scale_steps()[answer.values[OVERALL] - 1]["says"])


def _act(state: str) -> str:
    if state == AssignmentState.SUBMITTED:
        return _("Edit")
    return _("Take the skip back") if state == AssignmentState.SKIPPED else _("Go on")


def _fixed(assignment: Assignment) -> str:
    if why := fixed_why(assignment):
        return why
    pair = assignment.comparison
    held = assignment.state in (AssignmentState.SUBMITTED, AssignmentState.LEASED)
    if not held and pair.judged + pair.leased >= pair.wanted:
        return _("Others have it by now.")
    return ""
