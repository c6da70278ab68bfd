"""Record what a rater says: once, in slot order, superseded rather than changed."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL
from annotation.comparisons.levels import levels_dense, levels_turned, sides_of
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Judgment,
    JudgmentValue,
    RaterQueue,
)
from annotation.comparisons.openness import fixed_why
from annotation.comparisons.records import (
    FLAGS,
    REASONS,
    Answer,
    AnswerFixed,
    AnswerInvalid,
    SubmitOutcome,
)
from annotation.comparisons.scale import HIGHEST, LOWEST, value_turned
from annotation.comparisons.selectors import answer_of
from annotation.comparisons.spans import spans_stored

from .leases import assignment_locked, lease_end, place_free, place_released, text_checked
from .overlap import overlap_reconsider

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
    said = _said_in_slot_order(comparison, assignment, answer)
    surplus = not _place_taken(comparison, assignment)
    assignment.state = AssignmentState.SUBMITTED
    assignment.submitted_at = assignment.touched_at = timezone.now()
    assignment.draft, assignment.draft_saved_at, assignment.parked_at = {}, None, None
    assignment.save()
    _count(queue, +1)
    judgment = judgment_written(assignment, answer, said, idempotency_key, surplus=surplus)
    overlap_reconsider(comparison)
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
    said = _said_in_slot_order(comparison, assignment, answer)
    _supersede(active)
    judgment = judgment_written(assignment, answer, said, idempotency_key, surplus=active.surplus)
    overlap_reconsider(comparison)
    Assignment.objects.filter(pk=assignment.pk).update(touched_at=timezone.now())
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
        **({"ranking": list(before.ranking)} if before.ranking else {}),
        "both_bad": before.both_bad,
        "flags": list(before.flags),
        "rationale": before.rationale,
        "reasons": list(before.reasons),
        "spans": [asdict(span) for span in before.spans],
        "seconds": before.seconds,
    }
    assignment.draft_saved_at = assignment.touched_at = timezone.now()
    assignment.save()
    _count(queue, -1)
    overlap_reconsider(comparison)
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
    """Turn the lease into a judged place, or take a free one; False when there is none.

    An answer that a lead has left out beforehand takes none, so that somebody else is asked.
    """
    if assignment.left_out:
        if assignment.state == AssignmentState.LEASED:
            place_released(comparison)
        return False
    if assignment.state == AssignmentState.LEASED:
        comparison.leased -= 1
    elif comparison.closed_at or not place_free(comparison, assignment):
        return False
    comparison.judged += 1
    comparison.save(update_fields=["leased", "judged"])
    return True


def _given_back(comparison: Comparison, assignment: Assignment, active: Judgment) -> None:
    """Make the assignment a lease again; a surplus one only if a place is free by now."""
    free = place_free(comparison, assignment)
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
    assignment.comparison = comparison  # the locked one
    if why := fixed_why(assignment):
        raise AnswerFixed(why)
    return active


def _supersede(active: Judgment) -> None:
    Judgment.objects.filter(pk=active.pk).update(active=False, superseded_at=timezone.now())


def _said_in_slot_order(
    comparison: Comparison, assignment: Assignment, answer: Answer
) -> dict[int, int] | list[int]:
    """Criterion id to value, or of ranked answers the level of each slot; turned from the order shown, and
    every part of the answer is checked."""
    if comparison.campaign.ranks:
        return _levels_in_slot_order(assignment, answer)
    if answer.ranking:
        raise AnswerInvalid("This campaign compares two answers: send values, and no ranking.")
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


def _levels_in_slot_order(assignment: Assignment, answer: Answer) -> list[int]:
    count = len(assignment.shown_order)
    if answer.values:
        raise AnswerInvalid(f"This campaign ranks {count} answers: send a ranking, and no values.")
    if len(answer.ranking) != count:
        raise AnswerInvalid(
            f"ranking: send a level for each of the {count} answers in the order shown, 1 the best."
        )
    for level in answer.ranking:
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= count:
            raise AnswerInvalid(f"ranking: use whole numbers from 1 to {count}; equal ones tie.")
    return levels_turned(levels_dense(answer.ranking), assignment.shown_order)


def _flags_in_slot_order(flags: tuple[str, ...], shown_order: list[int]) -> list[dict[str, object]]:
    slots = {"": None, **sides_of(shown_order)}
    stored: list[dict[str, object]] = []
    for flag in dict.fromkeys(flags):
        key, _, side = flag.partition(":")
        if key not in FLAGS or side not in slots:
            raise AnswerInvalid(f"There is no flag {flag[:60]!r}; use one of {', '.join(FLAGS)}.")
        stored.append({"key": key, "slot": slots[side]})
    return stored


def _reasons_checked(reasons: tuple[str, ...]) -> list[str]:
    for reason in reasons:
        if reason not in REASONS:
            known = ", ".join(REASONS)
            raise AnswerInvalid(f"There is no reason {reason[:60]!r}; use one of {known}.")
    return list(dict.fromkeys(reasons))


def judgment_written(
    assignment: Assignment,
    answer: Answer,
    said: dict[int, int] | list[int],
    idempotency_key: str,
    *,
    surplus: bool,
) -> Judgment:
    """The next revision of an assignment that the caller holds locked; `said` in slot order, values by
    criterion or the levels of a ranking."""
    last = assignment.judgments.order_by("-revision").values_list("revision", flat=True).first()
    judgment = Judgment.objects.create(
        assignment=assignment,
        rater_id=assignment.rater_id,
        revision=(last or 0) + 1,
        surplus=surplus,
        both_bad=answer.both_bad,
        levels=said if isinstance(said, list) else None,
        flags=_flags_in_slot_order(answer.flags, assignment.shown_order),
        spans=spans_stored(assignment, answer.spans),
        rationale=text_checked("rationale", answer.rationale.strip()),
        reasons=_reasons_checked(answer.reasons),
        idempotency_key=idempotency_key,
        guideline_version_id=assignment.guideline_version_id,
        seconds=None if answer.seconds is None else min(max(answer.seconds, 0.0), LONGEST_SECONDS),
    )
    if isinstance(said, dict):
        JudgmentValue.objects.bulk_create(
            JudgmentValue(judgment=judgment, criterion_id=criterion, value=value)
            for criterion, value in said.items()
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
