"""Take the qualification test: begin a try, answer its items one after another."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.gold import gold_items
from annotation.comparisons.models import Comparison, QualificationAnswer, QualificationTry
from annotation.comparisons.qualifying import is_right, needed, qualification_standing
from annotation.comparisons.scale import HIGHEST, LOWEST, value_turned
from annotation.contracts import AnnotationError

from .leases import rater_queue_locked


@transaction.atomic
def qualification_begin(*, rater: Rater, campaign: Campaign) -> QualificationTry:
    """The try that is under way, or the next one.

    Raises `AnnotationError` where there is no test, it is passed, no try is left, or the campaign has
    fewer gold items than the test asks for.
    """
    rater_queue_locked(rater=rater, campaign_id=campaign.pk)
    runs = QualificationTry.objects.filter(rater=rater, campaign=campaign)
    running = runs.filter(passed__isnull=True).first()
    if running is not None:
        return running
    standing = qualification_standing(rater=rater, campaign=campaign)
    if not campaign.qualification_items or standing.passed:
        raise AnnotationError("There is no test for you to take in this campaign.")
    if not standing.left:
        raise AnnotationError("You have no try left: ask your lead.")
    made = QualificationTry.objects.create(
        rater=rater, campaign=campaign, number=standing.tried + 1
    )
    items = _items_drawn(made)
    QualificationAnswer.objects.bulk_create(
        QualificationAnswer(
            attempt=made, comparison=item, position=position, shown_order=_sides(made, item)
        )
        for position, item in enumerate(items, 1)
    )
    return made


@transaction.atomic
def qualification_answer(*, attempt: QualificationTry, position: int, value: int) -> bool | None:
    """Record the answer to an item (`value` in the order shown); the last one ends the try.

    Returns whether the try is passed, None while it goes on. An item that was answered keeps its answer,
    so that a form sent twice changes nothing. Raises `AnnotationError` for a value off the scale.
    """
    if not LOWEST <= value <= HIGHEST:
        raise AnnotationError(f"Use a whole number from {LOWEST} to {HIGHEST}.")
    attempt = QualificationTry.objects.select_for_update(of=("self",)).get(pk=attempt.pk)
    answers = list(attempt.answers.select_related("comparison"))
    for answer in answers:
        if answer.position == position and answer.value is None:
            answer.value = value_turned(value, answer.shown_order)
            answer.save(update_fields=["value"])
    if attempt.passed is None and all(answer.value is not None for answer in answers):
        right = sum(is_right(answer) for answer in answers)
        attempt.passed = right >= needed(campaign=attempt.campaign, of=len(answers))
        attempt.finished_at = timezone.now()
        attempt.save(update_fields=["passed", "finished_at"])
    return attempt.passed


def _items_drawn(made: QualificationTry) -> list[Comparison]:
    """Gold items in an order drawn for the try, those that no earlier try has shown first."""
    known = list(gold_items(campaign=made.campaign))
    wanted = made.campaign.qualification_items
    if len(known) < wanted:
        raise AnnotationError(
            f"The test asks for {wanted} gold items and the campaign has {len(known)}: tell your lead."
        )
    had = set(
        QualificationAnswer.objects.filter(
            attempt__rater=made.rater, attempt__campaign=made.campaign
        ).values_list("comparison__pair_digest", flat=True)
    )
    order = sorted(known, key=lambda item: (item.pair_digest in had, _drawn("item", made, item)))
    return order[:wanted]


def _sides(made: QualificationTry, item: Comparison) -> list[int]:
    return [1, 2] if _drawn("sides", made, item) < 0.5 else [2, 1]


def _drawn(what: str, made: QualificationTry, item: Comparison) -> float:
    return digests.uniform("qualification", what, str(made.pk), item.pair_digest)
