"""Answers: recorded once, in slot order, superseded and never changed."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from annotation.campaigns.services import guidelines_acknowledge, guidelines_publish
from annotation.comparisons.models import Assignment, Comparison, Judgment, JudgmentValue
from annotation.comparisons.records import (
    Answer,
    AnswerFixed,
    AnswerInvalid,
    GuidelinesUnread,
    NotYours,
)
from annotation.comparisons.selectors import (
    comparison_for,
    last_settled,
    pairs_available,
    progress_for,
)
from annotation.comparisons.services import (
    gate_queue_close,
    judgment_revise,
    judgment_submit,
    judgment_undo,
    leases_release_expired,
    queue_lease_next,
)
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    campaign = a_campaign(criteria=[("harmless", "Harmless")])
    some_pairs(campaign, 12)
    return campaign


def shown(rater, campaign):
    return Assignment.objects.get(pk=lease(rater, campaign).assignment_id)


def overall(assignment):
    return JudgmentValue.objects.get(
        judgment__assignment=assignment, judgment__active=True, criterion__key="overall"
    ).value


def test_what_was_seen_on_the_left_is_stored_for_its_slot(campaign, annotator):
    for _ in range(12):
        assignment = shown(annotator, campaign)
        submit(annotator, assignment.pk, 1)
        assert overall(assignment) == (1 if assignment.shown_order == [1, 2] else 7)
        view = comparison_for(rater=annotator, assignment_id=assignment.pk)
        assert view.answer == Answer(values={"overall": 1})
    assert {a.shown_order[0] for a in Assignment.objects.all()} == {1, 2}


def test_every_part_of_an_answer_is_kept_and_read_back_as_given(campaign, annotator):
    assignment = shown(annotator, campaign)
    answer = Answer(
        values={"overall": 4, "harmless": 6},
        both_bad=True,
        flags=("refusal", "unsafe:left", "wrong_fact:right"),
        rationale="Both refuse.",
        seconds=12.5,
    )
    judgment_submit(
        rater=annotator, assignment_id=assignment.pk, answer=answer, idempotency_key="k"
    )
    view = comparison_for(rater=annotator, assignment_id=assignment.pk)
    assert view.answer == answer
    stored = Judgment.objects.get(assignment=assignment)
    assert {"key": "unsafe", "slot": assignment.shown_order[0]} in stored.flags


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(values={}), "better overall"),
        (Answer(values={"overall": 8}), "1 to 7"),
        (Answer(values={"overall": True}), "1 to 7"),
        (Answer(values={"overall": 3, "kind": 2}), "does not ask"),
        (Answer(values={"overall": 3}, flags=("ugly",)), "no flag"),
        (Answer(values={"overall": 3}, flags=("unsafe:top",)), "no flag"),
        (Answer(values={"overall": 3}, rationale="x" * 10_001), "too long"),
        (Answer(values={"overall": 3}, rationale="a\x00b"), "NUL"),
    ],
)
def test_a_bad_answer_is_refused_and_leaves_the_pair_as_it_was(campaign, annotator, answer, words):
    assignment = shown(annotator, campaign)
    with pytest.raises(AnswerInvalid, match=words), transaction.atomic():
        judgment_submit(
            rater=annotator, assignment_id=assignment.pk, answer=answer, idempotency_key="k"
        )
    assignment.refresh_from_db()
    assert assignment.state == "leased"
    assert not Judgment.objects.exists()


def test_an_answer_sent_twice_is_recorded_once(campaign, annotator):
    assignment = shown(annotator, campaign)
    answer = Answer(values={"overall": 2})
    first, second = (
        judgment_submit(
            rater=annotator, assignment_id=assignment.pk, answer=answer, idempotency_key="same"
        )
        for _ in range(2)
    )
    assert (first.judgment_id, second.repeated) == (second.judgment_id, True)
    assert Judgment.objects.count() == 1


def test_a_second_answer_with_another_key_must_be_an_edit(campaign, annotator):
    assignment_id = label_next(annotator, campaign).assignment_id
    with pytest.raises(AnswerFixed, match="edit"):
        submit(annotator, assignment_id)


def test_nobody_answers_for_somebody_else(campaign, annotator):
    assignment_id = lease(annotator, campaign).assignment_id
    other = an_annotator(campaign)
    with pytest.raises(NotYours):
        submit(other, assignment_id)
    with pytest.raises(NotYours):
        comparison_for(rater=other, assignment_id=assignment_id)


def test_an_edit_supersedes_and_the_history_stays(campaign, annotator):
    assignment = shown(annotator, campaign)
    submit(annotator, assignment.pk, 1)
    submitted_at = Assignment.objects.get(pk=assignment.pk).submitted_at
    outcome = judgment_revise(
        rater=annotator,
        assignment_id=assignment.pk,
        answer=Answer(values={"overall": 7}),
        idempotency_key="edit",
    )
    assert outcome.revision == 2
    history = Judgment.objects.filter(assignment=assignment).order_by("revision")
    assert [(j.active, j.superseded_at is None) for j in history] == [(False, False), (True, True)]
    assert Assignment.objects.get(pk=assignment.pk).submitted_at == submitted_at
    assert Comparison.objects.get(pk=assignment.comparison_id).judged == 1


def test_undo_gives_the_pair_back_with_the_answer_as_draft(campaign, annotator):
    outcome = label_next(annotator, campaign, 6, rationale="clear")
    lease(annotator, campaign)
    undone = judgment_undo(rater=annotator, assignment_id=outcome.assignment_id)
    assert undone.revision == 2
    assert not Judgment.objects.filter(assignment=outcome.assignment_id, active=True).exists()
    assert lease(annotator, campaign).assignment_id == outcome.assignment_id
    view = comparison_for(rater=annotator, assignment_id=outcome.assignment_id)
    assert (view.draft["values"], view.draft["rationale"]) == ({"overall": 6}, "clear")
    again = submit(annotator, outcome.assignment_id, 3)
    assert again.revision == 3
    assert progress_for(rater=annotator, campaign=campaign).total == 1


def test_only_an_answer_can_be_undone(campaign, annotator):
    with pytest.raises(AnswerInvalid, match="no answer"):
        judgment_undo(rater=annotator, assignment_id=lease(annotator, campaign).assignment_id)


def late(rater, campaign):
    """An assignment whose lease ran out and was freed."""
    held = lease(rater, campaign)
    Assignment.objects.filter(pk=held.assignment_id).update(
        lease_expires_at=timezone.now() - timedelta(hours=1)
    )
    assert leases_release_expired() == 1
    return held.assignment_id


def test_a_late_answer_counts_when_its_place_is_still_free(campaign, annotator):
    outcome = submit(annotator, late(annotator, campaign))
    assert not outcome.surplus
    assert Comparison.objects.get(assignments=outcome.assignment_id).judged == 1


def test_a_late_answer_is_kept_as_surplus_when_its_place_was_taken():
    campaign = a_campaign()
    (pair,) = some_pairs(campaign, 1)
    away, present = an_annotator(campaign), an_annotator(campaign)
    missed = late(away, campaign)
    label_next(present, campaign)
    outcome = submit(away, missed)
    assert outcome.surplus
    pair.refresh_from_db()
    assert (pair.judged, pair.leased) == (1, 0)


def test_a_decided_gate_pair_is_fixed_and_later_answers_are_surplus():
    campaign = a_campaign()
    round_id = uuid.uuid4()
    some_pairs(campaign, 3, purpose="gate", round_id=round_id)
    first, second = an_annotator(campaign), an_annotator(campaign)
    done = label_next(first, campaign)
    held = lease(second, campaign)
    assert gate_queue_close(round_id=round_id) == 2
    assert gate_queue_close(round_id=round_id) == 0
    with pytest.raises(AnswerFixed):
        judgment_undo(rater=first, assignment_id=done.assignment_id)
    assert submit(second, held.assignment_id).surplus
    assert queue_lease_next(rater=first, campaign=campaign) is None


def test_guidelines_are_acknowledged_before_the_first_item_and_after_a_change(campaign, annotator):
    first = guidelines_publish(campaign=campaign, text="Prefer the right answer.")
    with pytest.raises(GuidelinesUnread) as unread:
        queue_lease_next(rater=annotator, campaign=campaign)
    assert unread.value.number == 1
    guidelines_acknowledge(rater=annotator, version=first)
    one = label_next(annotator, campaign)
    second = guidelines_publish(campaign=campaign, text="Prefer the right and brief answer.")
    with pytest.raises(GuidelinesUnread):
        queue_lease_next(rater=annotator, campaign=campaign)
    guidelines_acknowledge(rater=annotator, version=second)
    two = label_next(annotator, campaign)
    versions = [Judgment.objects.get(pk=o.judgment_id).guideline_version for o in (one, two)]
    assert versions == [first, second]


def test_the_view_tells_neither_model_nor_purpose(annotator):
    campaign = a_campaign()
    versions = (uuid.uuid4(), uuid.uuid4())
    some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4(), versions=versions)
    rater = an_annotator(campaign)
    view = comparison_for(rater=rater, assignment_id=lease(rater, campaign).assignment_id)
    told = repr(view)
    assert "gate" not in told
    assert not any(str(version) in told for version in versions)
    assert {view.left.split()[0], view.right.split()[0]} == {"first", "second"}


def test_progress_counts_todays_answers_and_their_median_time(campaign, annotator):
    for seconds in (4.0, 10.0, 6.0):
        latest = label_next(annotator, campaign, seconds=seconds)
    progress = progress_for(rater=annotator, campaign=campaign)
    assert (progress.today, progress.total, progress.median_seconds) == (3, 3, 6.0)
    assert pairs_available(rater=annotator, campaign=campaign)
    assert last_settled(rater=annotator, campaign=campaign) == latest.assignment_id


def test_progress_of_one_who_has_not_begun_is_zero_and_says_whether_there_is_work(campaign):
    rater = an_annotator(campaign)
    progress = progress_for(rater=rater, campaign=campaign)
    assert (progress.today, progress.total, progress.median_seconds) == (0, 0, None)
    assert pairs_available(rater=rater, campaign=campaign)
    assert not pairs_available(rater=rater, campaign=a_campaign())


@pytest.mark.parametrize(
    "change",
    [
        lambda: Judgment.objects.update(rationale="rewritten"),
        lambda: Judgment.objects.update(surplus=True),
        lambda: Judgment.objects.all()._raw_delete("default"),
        lambda: JudgmentValue.objects.update(value=7),
        lambda: JudgmentValue.objects.all()._raw_delete("default"),
    ],
)
def test_the_database_refuses_to_rewrite_history(campaign, annotator, change):
    label_next(annotator, campaign)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change()


def test_a_superseded_judgment_does_not_come_back(campaign, annotator):
    outcome = label_next(annotator, campaign)
    judgment_undo(rater=annotator, assignment_id=outcome.assignment_id)
    with pytest.raises(DatabaseError, match="superseded"), transaction.atomic():
        Judgment.objects.filter(pk=outcome.judgment_id).update(active=True)
