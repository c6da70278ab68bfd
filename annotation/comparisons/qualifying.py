"""Reads on the qualification test: who has passed, and what one sees of it while taking it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from django.db.models import Exists, OuterRef, QuerySet

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign

from .blinding import blinded
from .gold import answer_says
from .models import QualificationAnswer, QualificationTry
from .records import MessageView
from .scale import answer_right, value_turned


@dataclass(frozen=True)
class QualificationStanding:
    """How a rater stands: `tried` tries are over, `left` remain."""

    passed: bool
    tried: int
    left: int


@dataclass(frozen=True)
class QualificationItem:
    """A gold item as it is shown: the number of it, the texts from left to right."""

    number: int
    of: int
    messages: tuple[MessageView, ...]
    left: str
    right: str


@dataclass(frozen=True)
class QualificationFeedback:
    """What is told of the item that was answered last, in the order shown."""

    prompt: str
    right: bool
    says: str
    explanation: str


@dataclass(frozen=True)
class TriedPerson:
    """One person's tries at a campaign's test, for its leads; `right` of the best of them."""

    rater: Rater
    tries: int
    right: int
    of: int
    passed: bool
    last_at: datetime | None


def must_qualify(*, rater: Rater, campaign: Campaign) -> bool:
    """Whether the rater has a test to pass before a real pair; simulations take none."""
    if not campaign.qualification_items or rater.simulated:
        return False
    runs = QualificationTry.objects.filter(campaign=campaign, rater=rater)
    return not runs.filter(passed=True).exists()


def qualification_standing(*, rater: Rater, campaign: Campaign) -> QualificationStanding:
    runs = QualificationTry.objects.filter(campaign=campaign, rater=rater)
    over = list(runs.filter(passed__isnull=False).values_list("passed", flat=True))
    return QualificationStanding(
        any(over), len(over), max(campaign.qualification_tries - len(over), 0)
    )


def needed(*, campaign: Campaign, of: int) -> int:
    """How many of the items must be answered right: the share, rounded up."""
    return ceil(round(campaign.qualification_pass * of, 6))


def item_shown(answer: QualificationAnswer, of: int) -> QualificationItem:
    pair = answer.comparison
    texts = {s.position: s.completion.text for s in pair.slots.select_related("completion")}
    (first, second), messages = blinded(
        campaign=pair.campaign,
        messages=pair.prompt.messages,
        texts=[texts[position] for position in answer.shown_order],
    )
    return QualificationItem(answer.position, of, messages, first, second)


def feedback_on(answer: QualificationAnswer) -> QualificationFeedback:
    pair = answer.comparison
    known = value_turned(pair.gold_value or 0, answer.shown_order)
    return QualificationFeedback(
        prompt=str(pair.prompt),
        right=is_right(answer),
        says=answer_says(known),
        explanation=pair.gold_explanation,
    )


def is_right(answer: QualificationAnswer) -> bool:
    pair = answer.comparison
    if answer.value is None or pair.gold_value is None:
        return False
    return answer_right(answer.value, pair.gold_value, pair.gold_tolerance)


def raters_tried(*, campaign: Campaign) -> QuerySet[Rater, Rater]:
    """Everybody who began the test, with whether they `passed`; to be paged by (passed, pseudonym)."""
    tries = QualificationTry.objects.filter(campaign=campaign, rater=OuterRef("pk"))
    passed = Exists(tries.filter(passed=True))
    return Rater.objects.filter(Exists(tries)).annotate(passed=passed)


def tried_people(*, campaign: Campaign, raters: Collection[Rater]) -> list[TriedPerson]:
    """How these did in the test, those who have not passed first."""
    runs = QualificationTry.objects.filter(campaign=campaign, rater__in=raters)
    runs = runs.select_related("rater__user")
    by_rater: dict[Rater, list[QualificationTry]] = {}
    for run in runs.prefetch_related("answers__comparison").order_by("number"):
        by_rater.setdefault(run.rater, []).append(run)
    people = [_tried(rater, mine) for rater, mine in by_rater.items()]
    return sorted(people, key=lambda p: (p.passed, p.rater.pseudonym))


def _tried(rater: Rater, runs: list[QualificationTry]) -> TriedPerson:
    scores = [(sum(map(is_right, run.answers.all())), run.answers.count()) for run in runs]
    right, of = max(scores)
    ends = [run.finished_at for run in runs if run.finished_at is not None]
    return TriedPerson(
        rater=rater,
        tries=len(runs),
        right=right,
        of=of,
        passed=any(run.passed for run in runs),
        last_at=max(ends, default=None),
    )
