"""The answers behind a figure: lists by kind, as querysets that page by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Length

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons.exclusions import counting
from annotation.comparisons.levels import letters, levels_shown, order_says
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Judgment,
    JudgmentValue,
    Prompt,
    Purpose,
    Slot,
)
from annotation.comparisons.page_texts import scale_steps
from annotation.comparisons.records import FLAGS, REASONS
from annotation.comparisons.scale import TIE, value_turned
from annotation.comparisons.spans import SpanSaid, spans_said

from .answers import judgments_in_force
from .pairs import pairs_shown, rater_name
from .spans import Marked, marked_where

Rows = QuerySet[Any, Any]
PAIR = "assignment__comparison"
ASKED = Q(**{f"{PAIR}__purpose__in": (Purpose.TRAINING, Purpose.GATE)})
FIRST, SECOND = Q(overall__lt=TIE), Q(overall__gt=TIE)
AS_SLOTS, TURNED = Q(assignment__shown_order__0=1), Q(assignment__shown_order__0=2)


@dataclass(frozen=True)
class AnswerRow:
    """One answer as it was given: texts (by letter) and verdict in the order shown."""

    judgment_id: UUID
    pair_id: UUID
    name: str
    prompt: str
    texts: tuple[tuple[str, str], ...]
    says: str
    flags: tuple[str, ...]
    spans: tuple[SpanSaid, ...]
    rationale: str
    both_bad: bool
    seconds: float | None
    given_at: Any
    known: str


def _same_side(other: str) -> Q:
    """Whether the answer is on the side of the value named."""
    before, after, tied = (Q(**{f"{other}__{how}": TIE}) for how in ("lt", "gt", "exact"))
    return (FIRST & before) | (SECOND & after) | (Q(overall=TIE) & tied)


def _gold_right() -> Q:
    """As `scale.answer_right` has it: on the side, or within the item's tolerance."""
    known, within = f"{PAIR}__gold_value", f"{PAIR}__gold_tolerance"
    side = Q(**{f"{within}__isnull": True}) & _same_side(known)
    near = Q(overall__gte=F(known) - F(within), overall__lte=F(known) + F(within))
    return side | (Q(**{f"{within}__isnull": False}) & near)


def _differing(rows: Rows) -> Rows:
    """A side was chosen, and another person who counts chose the other one."""
    others = counting(
        JudgmentValue.objects.filter(
            criterion__key=OVERALL, judgment__assignment__comparison=OuterRef(f"{PAIR}_id")
        )
    )
    against = Exists(others.filter(value__gt=TIE)), Exists(others.filter(value__lt=TIE))
    return rows.filter(ASKED).filter((FIRST & Q(against[0])) | (SECOND & Q(against[1])))


def _repeats(rows: Rows) -> Rows:
    """With `earlier`, what the same person had said of the pair."""
    before = JudgmentValue.objects.filter(
        criterion__key=OVERALL,
        judgment__active=True,
        judgment__rater=OuterRef("rater"),
        judgment__assignment__comparison=OuterRef(f"{PAIR}__repeat_of"),
    )
    again: Rows = rows.filter(**{f"{PAIR}__purpose": Purpose.REPEAT})
    again = again.annotate(earlier=Subquery(before.values("value")[:1]))
    return again.filter(earlier__isnull=False)


def _shown(rows: Rows, left: Q, right: Q) -> Rows:
    """Decided on our own page, where sides are drawn."""
    rows = rows.filter(ASKED, assignment__lease_expires_at__isnull=False)
    return rows.filter((AS_SLOTS & left) | (TURNED & right))


def _lengths(rows: Rows) -> Rows:
    slots = Slot.objects.filter(comparison=OuterRef(f"{PAIR}_id")).annotate(
        length=Length("completion__text")
    )
    one, two = (slots.filter(position=n).values("length")[:1] for n in (1, 2))
    measured: Rows = rows.filter(ASKED).annotate(one=Subquery(one), two=Subquery(two))
    return measured


KINDS: Mapping[str, tuple[str, Callable[[Rows], Rows]]] = {
    "all": ("All answers", lambda rows: rows),
    "asked": ("Answers to training and gate pairs", lambda rows: rows.filter(ASKED)),
    "shared": (
        "Answers to pairs that several people have judged",
        lambda rows: rows.filter(ASKED, **{f"{PAIR}__judged__gte": 2}),
    ),
    "differing": ("Answers that another person contradicts", _differing),
    "gold": (
        "Answers to gold items",
        lambda rows: rows.filter(**{f"{PAIR}__purpose": Purpose.GOLD}),
    ),
    "gold_wrong": (
        "Wrong answers to gold items",
        lambda rows: rows.filter(**{f"{PAIR}__purpose": Purpose.GOLD}).exclude(_gold_right()),
    ),
    "repeats": ("Answers to pairs asked again", _repeats),
    "repeats_changed": (
        "Pairs asked again on which the person changed sides",
        lambda rows: _repeats(rows).exclude(_same_side("earlier")),
    ),
    "left": ("Answers for the left text", lambda rows: _shown(rows, FIRST, SECOND)),
    "right": ("Answers for the right text", lambda rows: _shown(rows, SECOND, FIRST)),
    "longer": (
        "Answers for the longer text",
        lambda rows: _lengths(rows).filter(
            (FIRST & Q(one__gt=F("two"))) | (SECOND & Q(two__gt=F("one")))
        ),
    ),
    "shorter": (
        "Answers for the shorter text",
        lambda rows: _lengths(rows).filter(
            (FIRST & Q(one__lt=F("two"))) | (SECOND & Q(two__lt=F("one")))
        ),
    ),
    "ties": ("Ties", lambda rows: rows.filter(ASKED, overall=TIE)),
    "both_bad": ("Both marked bad", lambda rows: rows.filter(both_bad=True)),
    "flagged": ("Answers with a flag", lambda rows: rows.exclude(flags=[])),
    "marked": ("Answers with a marked part", lambda rows: rows.exclude(spans=[])),
    "reasons": ("Answers with a reason", lambda rows: rows.exclude(rationale="")),
}
# Those that ask for no side: the lists of a campaign that ranks.
OF_RANKINGS = ("all", "asked", "shared", "both_bad", "flagged", "marked", "reasons")
OTHER_SIDE = {
    "gold": "gold_wrong", "repeats": "repeats_changed", "left": "right", "longer": "shorter"
}  # fmt: skip


def answers_listed(
    *,
    campaign: Campaign,
    kind: str,
    rater: Rater | None,
    flag: str = "",
    span: Marked | None = None,
) -> QuerySet[Judgment, Judgment]:
    """Answers of one kind of `KINDS`: all in force of one person, or those of everybody that count, with one
    flag, or with a marked part. Pairs of a gate that has not decided are shown to nobody."""
    rows: Rows = judgments_in_force(campaign=campaign, rater=rater)
    rows = rows.filter(assignment__comparison__in=pairs_shown(campaign=campaign))
    if not campaign.ranks:
        rows = rows.filter(values__criterion__key=OVERALL).annotate(overall=F("values__value"))
    if flag:
        rows = rows.filter(flags__contains=[{"key": flag}])
    if span is not None:
        rows = rows.filter(marked_where(span, answers=campaign.answers))
    return KINDS[kind][1](rows).select_related(
        "rater__user", f"{PAIR}__prompt", f"{PAIR}__campaign"
    )


def answer_rows(judgments: list[Any]) -> list[AnswerRow]:
    """Rows of `answers_listed` with their texts, fetched at once."""
    texts = _texts({judgment.assignment.comparison_id for judgment in judgments})
    return [_row(judgment, texts[judgment.assignment.comparison_id]) for judgment in judgments]


def _row(judgment: Any, texts: dict[int, str]) -> AnswerRow:
    order = judgment.assignment.shown_order
    gold = judgment.assignment.comparison.gold_value
    return AnswerRow(
        judgment_id=judgment.pk,
        pair_id=judgment.assignment.comparison_id,
        name=rater_name(judgment.rater),
        prompt=prompt_words(judgment.assignment.comparison.prompt),
        texts=tuple(
            (letter, texts.get(slot, ""))
            for letter, slot in zip(letters(len(order)), order, strict=True)
        ),
        says=(
            order_says(levels_shown(judgment.levels, order))
            if judgment.levels
            else _says(judgment.overall, order)
        ),
        flags=(
            *(FLAGS.get(flag["key"], flag["key"]) for flag in judgment.flags),
            *(REASONS.get(reason, reason) for reason in judgment.reasons),
        ),
        spans=_marks(judgment, order, texts),
        rationale=judgment.rationale,
        both_bad=judgment.both_bad,
        seconds=judgment.seconds,
        given_at=judgment.created_at,
        known=_says(gold, order) if gold else "",
    )


def _marks(judgment: Judgment, order: list[int], texts: dict[int, str]) -> tuple[SpanSaid, ...]:
    named = dict(zip(order, letters(len(order)), strict=True))
    return spans_said(
        [(named[s["slot"]], s["start"], s["end"], s["label"]) for s in judgment.spans],
        {letter: texts.get(slot, "") for slot, letter in named.items()},
        judgment.assignment.comparison.campaign.span_labels,
    )


def _says(value: int, order: list[int]) -> str:
    return str(scale_steps()[value_turned(value, order) - 1]["says"])


def _texts(pairs: set[UUID]) -> dict[UUID, dict[int, str]]:
    found: dict[UUID, dict[int, str]] = {pair: {} for pair in pairs}
    rows = Slot.objects.filter(comparison__in=pairs)
    for pair, position, text in rows.values_list("comparison_id", "position", "completion__text"):
        found[pair][position] = text
    return found


def prompt_words(prompt: Prompt) -> str:
    return str(prompt.messages[-1]["content"])


def skips_listed(
    *, campaign: Campaign, rater: Rater | None, reason: str
) -> QuerySet[Assignment, Assignment]:
    rows = Assignment.objects.filter(comparison__campaign=campaign, state=AssignmentState.SKIPPED)
    if rater is not None:
        rows = rows.filter(rater=rater)
    if reason:
        rows = rows.filter(skip_reason=reason)
    return rows.select_related("rater__user", "comparison__prompt")
