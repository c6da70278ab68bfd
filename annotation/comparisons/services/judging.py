"""Record what a rater says: once, in slot order, superseded rather than changed."""

from __future__ import annotations

import uuid
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Judgment,
    JudgmentValue,
    RaterQueue,
)
from annotation.comparisons.records import (
    FLAGS,
    Answer,
    AnswerFixed,
    AnswerInvalid,
    SubmitOutcome,
)
from annotation.comparisons.scale import HIGHEST, LOWEST, value_turned
from annotation.comparisons.selectors import answer_of
from annotation.comparisons.shares import gate_share_left

from .leases import assignment_locked, lease_end, text_checked

LONGEST_SECONDS = 86_400


@transaction.atomic
def judgment_submit(
    *, rater: Rater, assignment_id: UUID, answer: Answer, idempotency_key: str
) -> SubmitOutcome:
    """Record the first answer to a pair.

    The same key again returns the first outcome. An answer that comes after its lease ran out
    counts when a place is free, else it is kept as surplus. Raises `AnswerInvalid`, `NotYours`, and
    `AnswerFixed` for a pair that was answered or skipped.
    """
    queue, comparison, assignment = assignment_locked(rater=rater, assignment_id=assignment_id)
    known = _known_outcome(rater, assignment, idempotency_key)
    if known is not None:
        return known
    if assignment.state == AssignmentState.SUBMITTED:
        raise AnswerFixed("You have answered this pair already; edit that answer instead.")
    if assignment.state == AssignmentState.SKIPPED:
        raise AnswerFixed("You skipped this pair, so that it went to somebody else.")
    values = _values_in_slot_order(comparison, assignment, answer)
    surplus = not _place_taken(comparison, assignment)
    assignment.state = AssignmentState.SUBMITTED
    assignment.submitted_at = timezone.now()
    assignment.draft, assignment.draft_saved_at = {}, None
    assignment.save(update_fields=["state", "submitted_at", "draft", "draft_saved_at"])
    _count(queue, +1)
    judgment = _record(assignment, answer, values, idempotency_key, surplus=surplus)
    return _outcome(judgment)


@transaction.atomic
def judgment_revise(
    *, rater: Rater, assignment_id: UUID, answer: Answer, idempotency_key: str
) -> SubmitOutcome:
    """Edit an answer: a new revision supersedes the active one, which stays in the history."""
    _, comparison, assignment = assignment_locked(rater=rater, assignment_id=assignment_id)
    known = _known_outcome(rater, assignment, idempotency_key)
    if known is not None:
        return known
    active = _active_changeable(comparison, assignment)
    values = _values_in_slot_order(comparison, assignment, answer)
    _supersede(active)
    judgment = _record(assignment, answer, values, idempotency_key, surplus=active.surplus)
    return _outcome(judgment)


@transaction.atomic
def judgment_undo(*, rater: Rater, assignment_id: UUID, idempotency_key: str = "") -> SubmitOutcome:
    """Take an answer back: a withdrawn revision supersedes it and the pair is before the rater again.

    The withdrawn answer becomes the draft, so that it can be mended rather than typed anew.
    """
    queue, comparison, assignment = assignment_locked(rater=rater, assignment_id=assignment_id)
    key = idempotency_key or f"undo-{uuid.uuid4()}"
    known = _known_outcome(rater, assignment, key)
    if known is not None:
        return known
    active = _active_changeable(comparison, assignment)
    before = answer_of(active, assignment.shown_order)
    _supersede(active)
    judgment = Judgment.objects.create(
        assignment=assignment,
        rater=rater,
        revision=active.revision + 1,
        active=False,
        withdrawn=True,
        surplus=active.surplus,
        idempotency_key=key,
        guideline_version_id=assignment.guideline_version_id,
    )
    _given_back(comparison, assignment, active)
    assignment.draft = {
        "values": dict(before.values),
        "both_bad": before.both_bad,
        "flags": list(before.flags),
        "rationale": before.rationale,
    }
    assignment.draft_saved_at = timezone.now()
    assignment.save()
    _count(queue, -1)
    return _outcome(judgment)


def _known_outcome(rater: Rater, assignment: Assignment, key: str) -> SubmitOutcome | None:
    if not 0 < len(key) <= 100:
        raise AnswerInvalid("Send an idempotency key of 1 to 100 characters with each answer.")
    known = Judgment.objects.filter(rater=rater, idempotency_key=key).first()
    if known is None:
        return None
    if known.assignment_id != assignment.pk:
        raise AnswerInvalid("This idempotency key belongs to the answer to another pair.")
    return _outcome(known, repeated=True)


def _place_taken(comparison: Comparison, assignment: Assignment) -> bool:
    """Turn the lease into a judged place, or take a free one; False when there is none."""
    if assignment.state == AssignmentState.LEASED:
        comparison.leased -= 1
    elif comparison.closed_at or not _place_free(comparison, assignment):
        return False
    comparison.judged += 1
    comparison.save(update_fields=["leased", "judged"])
    return True


def _place_free(comparison: Comparison, assignment: Assignment) -> bool:
    """Whether an answer whose lease has run out finds room: in the pair, and in the rater's share."""
    room = comparison.judged + comparison.leased < comparison.wanted
    return room and gate_share_left(rater=assignment.rater, queue_id=assignment.gate_queue_id)


def _given_back(comparison: Comparison, assignment: Assignment, active: Judgment) -> None:
    """Make the assignment a lease again; a surplus one only if a place is free by now."""
    free = _place_free(comparison, assignment)
    assignment.state = AssignmentState.LEASED if free or not active.surplus else "expired"
    assignment.submitted_at = None
    assignment.lease_expires_at = lease_end(comparison.campaign)
    if not active.surplus:
        comparison.judged -= 1
    if assignment.state == AssignmentState.LEASED:
        comparison.leased += 1
    comparison.save(update_fields=["leased", "judged"])


def _active_changeable(comparison: Comparison, assignment: Assignment) -> Judgment:
    active = assignment.judgments.filter(active=True).first()
    if active is None:
        raise AnswerInvalid("There is no answer to this pair that could be changed.")
    if comparison.closed_at is not None:
        raise AnswerFixed("A decision rests on this answer by now; it can no longer be changed.")
    return active


def _supersede(active: Judgment) -> None:
    Judgment.objects.filter(pk=active.pk).update(active=False, superseded_at=timezone.now())


def _values_in_slot_order(
    comparison: Comparison, assignment: Assignment, answer: Answer
) -> dict[int, int]:
    """Criterion id to value, turned from the order shown; every part of the answer is checked."""
    criteria = dict(comparison.campaign.criteria.values_list("key", "pk"))
    if OVERALL not in answer.values:
        raise AnswerInvalid("Say which of the two is better overall, or that they are equal.")
    for key, value in answer.values.items():
        if key not in criteria:
            raise AnswerInvalid(f"This campaign does not ask for {key[:60]!r}.")
        if isinstance(value, bool) or not isinstance(value, int) or not LOWEST <= value <= HIGHEST:
            raise AnswerInvalid(f"{key[:60]}: use a whole number from {LOWEST} to {HIGHEST}.")
    return {
        criteria[key]: value_turned(value, assignment.shown_order)
        for key, value in answer.values.items()
    }


def _flags_in_slot_order(flags: tuple[str, ...], shown_order: list[int]) -> list[dict[str, object]]:
    stored: list[dict[str, object]] = []
    for flag in dict.fromkeys(flags):
        key, _, side = flag.partition(":")
        if key not in FLAGS or side not in ("", "left", "right"):
            raise AnswerInvalid(f"There is no flag {flag[:60]!r}; use one of {', '.join(FLAGS)}.")
        slot = {"": None, "left": shown_order[0], "right": shown_order[1]}[side]
        stored.append({"key": key, "slot": slot})
    return stored


def _record(
    assignment: Assignment,
    answer: Answer,
    values: dict[int, int],
    idempotency_key: str,
    *,
    surplus: bool,
) -> Judgment:
    last = assignment.judgments.order_by("-revision").values_list("revision", flat=True).first()
    judgment = Judgment.objects.create(
        assignment=assignment,
        rater_id=assignment.rater_id,
        revision=(last or 0) + 1,
        surplus=surplus,
        both_bad=answer.both_bad,
        flags=_flags_in_slot_order(answer.flags, assignment.shown_order),
        rationale=text_checked("rationale", answer.rationale.strip()),
        idempotency_key=idempotency_key,
        guideline_version_id=assignment.guideline_version_id,
        seconds=None if answer.seconds is None else min(max(answer.seconds, 0.0), LONGEST_SECONDS),
    )
    JudgmentValue.objects.bulk_create(
        JudgmentValue(judgment=judgment, criterion_id=criterion, value=value)
        for criterion, value in values.items()
    )
    return judgment


def _count(queue: RaterQueue, change: int) -> None:
    queue.labels = max(queue.labels + change, 0)
    queue.save(update_fields=["labels"])


def _outcome(judgment: Judgment, *, repeated: bool = False) -> SubmitOutcome:
    return SubmitOutcome(
        assignment_id=judgment.assignment_id,
        judgment_id=judgment.pk,
        revision=judgment.revision,
        surplus=judgment.surplus,
        repeated=repeated,
    )
