"""Send an answer back to who gave it, with a word."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from annotation.comparisons.models import (
    AnswerReturn,
    Assignment,
    AssignmentState,
    Judgment,
    Purpose,
)
from annotation.contracts import AnnotationError

LONGEST_NOTE = 1000


@transaction.atomic
def answer_send_back(*, judgment: Judgment, note: str) -> AnswerReturn:
    """The person is asked to answer again; what they said counts until they have.

    Raises `AnnotationError` without a note, for an answer that is no longer in force or that nobody with
    an account gave, for one that was sent back already, and for all but training pairs: a word about a
    gate's pair would be a word in its decision. Rankings are not sent back.
    """
    if not note.strip() or len(note.strip()) > LONGEST_NOTE:
        raise AnnotationError(f"Say in at most {LONGEST_NOTE} characters what is to be looked at.")
    assignment = Assignment.objects.select_for_update(of=("self",)).get(pk=judgment.assignment_id)
    judgment.refresh_from_db()
    if assignment.state != AssignmentState.SUBMITTED or not judgment.active:
        raise AnnotationError("This answer is no longer in force; look at the one that is.")
    if assignment.comparison.purpose != Purpose.TRAINING:
        raise AnnotationError(
            "Only answers to training pairs are sent back: others decide or measure."
        )
    if judgment.levels is not None:
        raise AnnotationError(
            "Rankings are not sent back: the person can edit them under Your answers."
        )
    if judgment.rater.user is None:
        raise AnnotationError("Nobody with an account gave this answer.")
    try:
        with transaction.atomic():
            return AnswerReturn.objects.create(judgment=judgment, note=note.strip())
    except IntegrityError as error:
        raise AnnotationError("This answer was sent back already and waits.") from error
