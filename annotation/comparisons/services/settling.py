"""Settle a pair on which people disagree: the adjudicator's answer stands in place of the votes."""

from __future__ import annotations

from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL
from annotation.comparisons.models import (
    Adjudication,
    Assignment,
    AssignmentState,
    Comparison,
    Judgment,
    Purpose,
)
from annotation.comparisons.records import Answer
from annotation.contracts import AnnotationError

from .judging import judgment_written

SLOT_ORDER = [1, 2]


@transaction.atomic
def pair_settle(
    *, rater: Rater, comparison: Comparison, value: int, both_bad: bool = False, reason: str
) -> Adjudication:
    """Record the adjudicator's answer (`value` in slot order) as the label of a training pair.

    Raises `AnnotationError` for ranked answers, a pair that measures or decides, one that is settled already,
    one that the adjudicator has answered as an annotator, or without a reason.
    """
    if not reason.strip():
        raise AnnotationError("Say why: who voted otherwise will learn from it.")
    pair = Comparison.objects.select_for_update().get(pk=comparison.pk)
    if pair.campaign.ranks:
        raise AnnotationError(
            "Rankings are not settled: every person's order trains with its weight."
        )
    if pair.purpose != Purpose.TRAINING:
        raise AnnotationError("Only training pairs are settled: others decide or measure.")
    if pair.adjudications.filter(lifted_at__isnull=True).exists():
        raise AnnotationError("This pair was settled meanwhile.")
    assignment = _assignment_settled(pair, rater)
    judgment = judgment_written(
        assignment,
        Answer(values={OVERALL: value}, both_bad=both_bad, rationale=reason),
        {pair.campaign.criteria.get(key=OVERALL).pk: value},
        f"settled-{uuid4()}",
        surplus=True,
    )
    return Adjudication.objects.create(comparison=pair, judgment=judgment)


@transaction.atomic
def pair_unsettle(*, adjudication: Adjudication, actor: str) -> None:
    """Let the votes be the pair's labels again; the adjudicator's answer stays as history."""
    row = Adjudication.objects.select_for_update().get(pk=adjudication.pk)
    if row.lifted_at is not None:
        raise AnnotationError("The votes on this pair count again already.")
    row.lifted_at, row.lifted_by = timezone.now(), actor
    row.save(update_fields=["lifted_at", "lifted_by"])
    Judgment.objects.filter(pk=row.judgment_id).update(active=False, superseded_at=row.lifted_at)


def _assignment_settled(pair: Comparison, rater: Rater) -> Assignment:
    found = Assignment.objects.select_for_update().filter(comparison=pair, rater=rater).first()
    if found is None:
        found = Assignment(comparison=pair, rater=rater, shown_order=SLOT_ORDER)
    elif found.state not in (AssignmentState.SETTLED, AssignmentState.EXPIRED):
        raise AnnotationError("You were given this pair to answer: another adjudicator settles it.")
    found.state, found.shown_order = AssignmentState.SETTLED, SLOT_ORDER
    found.submitted_at, found.lease_expires_at = timezone.now(), None
    found.save()
    return found
