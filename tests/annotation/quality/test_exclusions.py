"""What a lead leaves out: one predicate for snapshot, gate and agreement; undone without a trace in them."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation import facade
from annotation.campaigns.models import Campaign
from annotation.campaigns.services import guidelines_acknowledge, guidelines_publish
from annotation.comparisons.models import Assignment, Comparison, Exclusion, Judgment
from annotation.comparisons.records import QueueClosed
from annotation.comparisons.services import gold_item_of_pair, judgment_undo, queue_lease_next
from annotation.contracts import AnnotationError, SnapshotRecipe
from annotation.quality.exclusions import effect_of
from annotation.quality.selectors import pairwise_agreement
from annotation.quality.services import exclusion_drawn, exclusion_lift, exclusion_make
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead():
    return person_create("lea", "lead")


def left_out(lead, campaign, reason="Always the first.", **what):
    drawn = exclusion_drawn(campaign=campaign, **what)
    return exclusion_make(exclusion=drawn, reason=reason, actor=lead)


def trained(campaign):
    rows = facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe())
    return sorted(row.rater for row in rows)


def everything(campaign, round_id):
    """All that reads labels to train, measure or decide."""
    return (
        trained(campaign),
        facade.fresh_label_count(line_id=campaign.line, since=None),
        sorted(label.rater for label in facade.gate_labels(round_id=round_id)),
        sorted(vote.rater for vote in facade.overlap_votes(line_id=campaign.line)),
        facade.label_summary(line_id=campaign.line),
    )


def test_a_person_is_left_out_of_all_that_reads_labels_and_taken_in_again(lead):
    campaign = a_campaign(overlap=2, gate_share=0.5, gold_share=0.2)
    pairs = some_pairs(campaign, 4, split="train")
    gold_item_of_pair(comparison=pairs[0], gold_value=1)
    round_id = uuid.uuid4()
    some_pairs(campaign, 4, purpose="gate", round_id=round_id, split="evaluation")
    one, two = an_annotator(campaign), an_annotator(campaign)
    for rater in (one, two, one, two, one, two, one, two, one, two):
        label_next(rater, campaign)
    before = everything(campaign, round_id)
    assert one.pseudonym in str(before[4])
    exclusion = left_out(lead, campaign, rater=one)
    for part in everything(campaign, round_id):
        assert one.pseudonym not in str(part)
    assert two.pseudonym in str(everything(campaign, round_id)[0])
    exclusion_lift(exclusion=exclusion, actor=lead)
    assert everything(campaign, round_id) == before
    verbs = AuditEvent.objects.order_by("at").values_list("verb", "detail__reason")
    assert list(verbs) == [
        ("left out answers", "Always the first."),
        ("took answers in again", "Always the first."),
    ]


def test_a_person_is_left_out_of_one_campaign_or_of_the_line(lead):
    here = a_campaign()
    there = a_campaign(line_id=here.line)
    elsewhere = a_campaign()
    rater = an_annotator(here)
    for campaign in (here, there):
        some_pairs(campaign, 1, split="train")
        label_next(rater, campaign)
    some_pairs(elsewhere, 1, split="train")
    label_next(an_annotator(elsewhere), elsewhere)
    exclusion = left_out(lead, here, rater=rater)
    assert len(trained(here)) == 1
    exclusion_lift(exclusion=exclusion, actor=lead)
    left_out(lead, here, rater=rater, whole_line=True)
    assert trained(here) == []
    assert len(trained(elsewhere)) == 1


def test_answers_under_old_guidelines_are_left_out_and_those_in_force_cannot_be(lead):
    campaign = a_campaign(guidelines="Short is better.")
    some_pairs(campaign, 2, split="train")
    rater = an_annotator(campaign)
    first = campaign.guidelines.get(number=1)
    guidelines_acknowledge(rater=rater, version=first)
    label_next(rater, campaign)
    with pytest.raises(AnnotationError, match="guidelines are in force"):
        exclusion_drawn(campaign=campaign, guideline_version=first)
    second = guidelines_publish(campaign=campaign, text="Right is better.")
    guidelines_acknowledge(rater=rater, version=second)
    kept = label_next(rater, campaign)
    left_out(lead, campaign, guideline_version=first)
    rows = list(facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe()))
    assert [row.id for row in rows] == [str(kept.judgment_id)]


def test_a_span_takes_what_was_given_from_its_beginning_to_before_its_end(lead):
    campaign = a_campaign()
    some_pairs(campaign, 4, split="train")
    one, two = an_annotator(campaign), an_annotator(campaign)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    _label_at(one, campaign, noon - hour)
    _label_at(one, campaign, noon)
    _label_at(two, campaign, noon + hour / 2)
    _label_at(one, campaign, noon + hour)
    of_one = left_out(lead, campaign, rater=one, since=noon, until=noon + hour)
    assert trained(campaign) == sorted([one.pseudonym, one.pseudonym, two.pseudonym])
    exclusion_lift(exclusion=of_one, actor=lead)
    left_out(lead, campaign, since=noon, until=noon + hour)
    assert trained(campaign) == [one.pseudonym, one.pseudonym]


def _label_at(rater, campaign, at):
    """An answer given at another time: it is written so, since a judgment never changes."""
    held = lease(rater, campaign)
    written = Judgment(
        assignment_id=held.assignment_id, rater=rater, idempotency_key=str(at), created_at=at
    )
    written.save()
    Assignment.objects.filter(pk=held.assignment_id).update(state="submitted", submitted_at=at)
    written.values.create(criterion=campaign.criteria.get(), value=2)


@pytest.mark.parametrize(
    ("span", "says"),
    [
        ((None, None), "Name a person"),
        ((timedelta(hours=-2), None), "give both"),
        ((timedelta(hours=-1), timedelta(hours=-2)), "after its beginning"),
        ((timedelta(hours=-1), timedelta(hours=1)), "must be over"),
    ],
)
def test_what_names_nothing_or_is_to_come_is_refused(span, says):
    now = timezone.now()
    since, until = (None if each is None else now + each for each in span)
    with pytest.raises(AnnotationError, match=says):
        exclusion_drawn(campaign=a_campaign(), since=since, until=until)


def test_it_takes_a_reason_and_the_same_is_left_out_once(lead):
    campaign = a_campaign()
    rater = an_annotator(campaign)
    drawn = exclusion_drawn(campaign=campaign, rater=rater)
    with pytest.raises(AnnotationError, match="Say why"):
        exclusion_make(exclusion=drawn, reason=" ", actor=lead)
    exclusion = left_out(lead, campaign, rater=rater)
    with pytest.raises(AnnotationError, match="left out already"):
        left_out(lead, campaign, rater=rater)
    exclusion_lift(exclusion=exclusion, actor=lead)
    with pytest.raises(AnnotationError, match="count again already"):
        exclusion_lift(exclusion=exclusion, actor=lead)
    left_out(lead, campaign, rater=rater)
    assert Exclusion.objects.count() == 2


def test_the_preview_is_what_then_happens_and_changes_nothing_itself(lead):
    campaign = a_campaign(overlap=3)
    some_pairs(campaign, 4, split="train")
    first, second, odd = (an_annotator(campaign) for _ in "123")
    for _ in range(4):
        for rater, slot_value in ((first, 2), (second, 3), (odd, 6)):
            held = lease(rater, campaign)
            order = Assignment.objects.get(pk=held.assignment_id).shown_order
            submit(rater, held.assignment_id, slot_value if order == [1, 2] else 8 - slot_value)
    drawn = exclusion_drawn(campaign=campaign, rater=odd)
    effect = effect_of(drawn)
    assert not Exclusion.objects.exists()
    # by pair: 2 and 3 point one way, 6 the other: of three pairs of votes one agrees; then one of one
    assert (effect.before.labels, effect.after.labels, effect.labels) == (12, 8, 4)
    assert (effect.before.training, effect.after.training) == (12, 8)
    assert (effect.before.pairs, effect.after.pairs) == (4, 4)
    assert effect.before.agreement.share == pytest.approx(1 / 3)
    assert effect.after.agreement.share == 1.0
    assert (effect.places, effect.gate_labels) == (4, 0)
    exclusion = left_out(lead, campaign, rater=odd)
    assert pairwise_agreement(line_id=campaign.line) == effect.after.agreement
    back = effect_of(exclusion)
    assert (back.before, back.after) == (effect.after, effect.before)
    assert Exclusion.objects.get().lifted_at is None


def test_somebody_else_is_asked_about_the_pairs_until_the_answers_count_again(lead):
    campaign = a_campaign()
    some_pairs(campaign, 3, split="train")
    one, two = an_annotator(campaign), an_annotator(campaign)
    for _ in range(3):
        label_next(one, campaign)
    assert queue_lease_next(rater=two, campaign=campaign) is None
    exclusion = left_out(lead, campaign, rater=one)
    with pytest.raises(QueueClosed, match="Your lead has paused your work"):
        queue_lease_next(rater=one, campaign=campaign)
    label_next(two, campaign)
    assert trained(campaign) == [two.pseudonym]
    exclusion_lift(exclusion=exclusion, actor=lead)
    places = Comparison.objects.values_list("judged", "wanted").order_by("judged")
    assert list(places) == [(1, 1), (1, 1), (2, 2)]
    assert queue_lease_next(rater=two, campaign=campaign) is None
    assert len(trained(campaign)) == 4


def test_an_answer_sent_in_after_its_writer_was_left_out_takes_no_place(lead):
    campaign = a_campaign()
    some_pairs(campaign, 1, split="train")
    one, two = an_annotator(campaign), an_annotator(campaign)
    held = lease(one, campaign)
    left_out(lead, campaign, rater=one)
    assert submit(one, held.assignment_id).surplus
    label_next(two, campaign)
    assert trained(campaign) == [two.pseudonym]


def test_votes_that_were_imported_ask_nobody_again(lead):
    campaign = a_campaign()
    (pair,) = some_pairs(campaign, 1, split="train")
    rater = an_annotator(campaign)
    label_next(rater, campaign)
    pair.assignments.update(lease_expires_at=None)  # as an import leaves them
    left_out(lead, campaign, rater=rater)
    assert Comparison.objects.get().wanted == 1


def test_what_an_undecided_gate_loses_is_counted_and_the_gate_reads_on_without_it(lead):
    campaign = a_campaign(gate_share=1.0)
    round_id, decided = uuid.uuid4(), uuid.uuid4()
    for gate in (decided, round_id):
        some_pairs(campaign, 3, purpose="gate", round_id=gate, split="evaluation")
    one, two = an_annotator(campaign), an_annotator(campaign)
    for rater in (one, one, one, one, two, two):
        label_next(rater, campaign)
    facade.gate_queue_close(round_id=decided)
    given = {gate: facade.gate_labels(round_id=gate) for gate in (decided, round_id)}
    lost = sum(label.rater == one.pseudonym for label in given[round_id])
    assert lost > 0
    assert effect_of(exclusion_drawn(campaign=campaign, rater=one)).gate_labels == lost
    exclusion = left_out(lead, campaign, rater=one)
    kept = [label for label in given[round_id] if label.rater != one.pseudonym]
    assert facade.gate_labels(round_id=round_id) == kept
    (told,) = facade.gate_exclusions(round_id=round_id)
    assert (told.labels, told.back) == (lost, False)
    assert facade.gate_exclusions(round_id=decided) == []
    # the pairs that lost their label are asked again, so that the gate can still come to its end
    assert facade.gate_queue_status(round_id=round_id).open == lost + 3 - len(given[round_id])
    exclusion_lift(exclusion=exclusion, actor=lead)
    assert facade.gate_labels(round_id=round_id) == given[round_id]
    assert [(e.labels, e.back) for e in facade.gate_exclusions(round_id=round_id)] == [
        (lost, False),
        (lost, True),
    ]


def test_gold_items_of_those_left_out_do_not_count_for_the_gate(lead):
    campaign = a_campaign(gold_share=1.0)
    for pair in some_pairs(campaign, 2, split="train"):
        gold_item_of_pair(comparison=pair, gold_value=1)
    rater = an_annotator(campaign)
    for _ in range(3):
        label_next(rater, campaign)
    assert facade.label_summary(line_id=campaign.line).raters[0].gold_labels == 2
    left_out(lead, campaign, rater=rater)
    assert facade.label_summary(line_id=campaign.line).raters == ()


def test_where_votes_say_how_many_are_asked_they_say_so_anew(lead):
    campaign = a_campaign(overlap_sure=0.9, overlap_most=5)
    some_pairs(campaign, 1, split="train")
    raters = [an_annotator(campaign) for _ in range(5)]
    asked = 0
    for rater in raters:
        held = queue_lease_next(rater=rater, campaign=campaign)
        if held is None:
            break
        order = Assignment.objects.get(pk=held.assignment_id).shown_order
        submit(rater, held.assignment_id, 1 if order == [1, 2] else 7)
        asked += 1
    assert 1 < asked < 5
    before = Comparison.objects.values_list("judged", "wanted").get()
    assert before == (asked, asked)
    exclusion = left_out(lead, campaign, rater=raters[0])
    assert Comparison.objects.values_list("judged", "wanted").get() == (asked, asked + 1)
    exclusion_lift(exclusion=exclusion, actor=lead)
    assert Comparison.objects.values_list("judged", "wanted").get() == before


@pytest.mark.parametrize("now", [{"overlap_sure": None}, {"overlap_sample_share": 1.0}])
def test_where_votes_no_longer_say_how_many_are_asked_a_lost_label_is_asked_again(lead, now):
    campaign = a_campaign(overlap_sure=0.7, overlap_most=5)
    some_pairs(campaign, 1, split="train")
    rater = an_annotator(campaign)
    label_next(rater, campaign)
    Comparison.objects.update(wanted=1)
    assert Comparison.objects.values_list("judged", "wanted", "adaptive").get() == (1, 1, True)
    Campaign.objects.filter(pk=campaign.pk).update(**now)
    exclusion = left_out(lead, campaign, rater=rater)
    assert Comparison.objects.values_list("judged", "wanted").get() == (1, 2)
    exclusion_lift(exclusion=exclusion, actor=lead)
    assert Comparison.objects.values_list("judged", "wanted").get() == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_is_taken_back_meanwhile_moves_no_place(lead):
    campaign = a_campaign(overlap=1)
    some_pairs(campaign, 1, split="train")
    rater = an_annotator(campaign)
    answered = label_next(rater, campaign).assignment_id
    taken, failed = threading.Event(), []

    def take_back():
        try:
            with transaction.atomic():
                judgment_undo(rater=rater, assignment_id=answered)
                taken.set()
                time.sleep(0.7)  # the lead acts now, and waits for the row
        except BaseException as failure:
            failed.append(failure)
        finally:
            connection.close()

    thread = threading.Thread(target=take_back)
    thread.start()
    assert taken.wait(10)
    left_out(lead, campaign, rater=rater)
    thread.join(10)
    assert not failed
    assert Comparison.objects.values_list("judged", "leased", "wanted").get() == (0, 1, 1)
