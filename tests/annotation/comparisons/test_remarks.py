"""Flags and marks as other rooms read them: by slot from 0, with their names, of labels that count."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import facade
from annotation.comparisons.models import Assignment, Comparison
from annotation.comparisons.records import Span
from annotation.contracts import Remark
from annotation.quality.services import exclusion_drawn, exclusion_make
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    lease,
    rank_next,
    some_pairs,
    some_rankings,
    submit,
)
from tests.support.people import person_create

pytestmark = pytest.mark.django_db
LABELS = [{"name": "Wrong fact", "help": ""}]


def answer_next(rater, campaign, **answer):
    """Answer the next pair, left being slot 1 whatever was drawn."""
    held = lease(rater, campaign)
    Assignment.objects.filter(pk=held.assignment_id).update(shown_order=[1, 2])
    return submit(rater, held.assignment_id, **answer)


def test_new_training_labels_come_with_what_was_raised_in_them():
    campaign = a_campaign(span_labels=LABELS)
    some_pairs(campaign, 3, split="train")
    rater = an_annotator(campaign)
    answer_next(rater, campaign, flags=("unsafe:right",))
    since = timezone.now()
    answer_next(
        rater,
        campaign,
        flags=("refusal",),
        spans=(Span("left", 0, 2, "wrong-fact"), Span("left", 3, 4, "wrong-fact")),
    )
    answer_next(rater, campaign)
    until = timezone.now() + timedelta(seconds=1)
    of_line = {"line_id": campaign.line}
    old, new, plain = facade.training_remarks(**of_line, since=None, until=until)
    assert old.remarks == (Remark("flag", "unsafe", "Unsafe", 1),)
    assert new.remarks == (
        Remark("flag", "refusal", "Refusal", None),
        Remark("mark", "wrong-fact", "Wrong fact", 0),
    )
    assert plain.remarks == ()
    assert (new.rater, len({old.group, new.group, plain.group})) == (rater.pseudonym, 3)
    assert facade.training_remarks(**of_line, since=since, until=until) == [new, plain]
    assert facade.training_remarks(line_id=uuid.uuid4(), since=None, until=until) == []
    exclusion_make(
        exclusion=exclusion_drawn(campaign=campaign, rater=rater),
        reason="A test account.",
        actor=person_create("lea", "lead"),
    )
    assert facade.training_remarks(**of_line, since=None, until=until) == []


def test_rankings_are_labels_too_and_a_flag_names_their_answer():
    campaign = a_campaign(answers=3)
    some_rankings(campaign, 1)
    rater = an_annotator(campaign)
    rank_next(rater, campaign, 1, 2, 3, flags=("unsafe:3",))
    order = rater.assignments.get().shown_order
    (found,) = facade.training_remarks(
        line_id=campaign.line, since=None, until=timezone.now() + timedelta(seconds=1)
    )
    assert found.remarks == (Remark("flag", "unsafe", "Unsafe", order[2] - 1),)


def test_a_gate_label_carries_what_was_raised_in_it():
    round_id = uuid.uuid4()
    campaign = a_campaign(span_labels=LABELS, gate_share=1.0)
    some_pairs(campaign, 1, purpose="gate", round_id=round_id)
    assert Comparison.objects.get().purpose == "gate"
    rater = an_annotator(campaign)
    answer_next(rater, campaign, flags=("unsafe:left",), spans=(Span("right", 0, 2, "wrong-fact"),))
    (label,) = facade.gate_labels(round_id=round_id)
    assert label.remarks == (
        Remark("flag", "unsafe", "Unsafe", 0),
        Remark("mark", "wrong-fact", "Wrong fact", 1),
    )
