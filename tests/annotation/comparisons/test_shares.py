"""Nobody fills a gate alone: one rater's share of a round's gate pairs."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, Comparison, GateQueue
from annotation.comparisons.selectors import pairs_available
from annotation.comparisons.services import (
    assignment_skip,
    gate_queue_close,
    gate_queue_reopen,
    judgment_undo,
    leases_give_back,
    leases_release_expired,
    pairs_create,
    queue_lease,
    queue_lease_next,
)
from annotation.comparisons.shares import gate_share_spent, gate_shares
from annotation.contracts import AnnotationError, GateShares
from tests.annotation.factories import (
    a_campaign,
    a_simulation,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)

pytestmark = pytest.mark.django_db


def a_gate(
    campaign: Campaign, pairs: int, most: int | None, round_id: uuid.UUID | None = None
) -> uuid.UUID:
    round_id = round_id or uuid.uuid4()
    some_pairs(campaign, pairs, purpose="gate", round_id=round_id)
    GateQueue.objects.filter(round_id=round_id).update(most_per_rater=most)
    return round_id


def given(rater: Rater, campaign: Campaign) -> str | None:
    """The purpose of the next pair; it is answered."""
    held = queue_lease_next(rater=rater, campaign=campaign)
    if held is None:
        return None
    submit(rater, held.assignment_id)
    return Assignment.objects.get(pk=held.assignment_id).comparison.purpose


@pytest.mark.parametrize("make", [an_annotator, lambda campaign: a_simulation()])
def test_a_rater_who_has_had_their_share_gets_training_pairs_and_then_nothing(make):
    campaign = a_campaign(gate_share=1.0)
    a_gate(campaign, 10, most=3)
    some_pairs(campaign, 2)
    rater = make(campaign)
    assert [given(rater, campaign) for _ in range(6)] == [
        "gate", "gate", "gate", "training", "training", None,
    ]  # fmt: skip
    assert [given(make(campaign), campaign) for _ in range(2)] == ["gate", "gate"]
    assert Comparison.objects.filter(purpose="gate", judged=1).count() == 5


def test_as_many_people_as_there_are_shares_fill_a_gate():
    campaign = a_campaign(gate_share=1.0)
    a_gate(campaign, 10, most=4)  # 10 pairs for 3 people: 4, 4 and 2
    people = [an_annotator(campaign) for _ in range(3)]
    got = [sum(given(rater, campaign) == "gate" for _ in range(10)) for rater in people]
    assert got == [4, 4, 2]


def test_what_is_held_counts_and_what_was_given_back_or_ran_out_does_not():
    campaign = a_campaign(gate_share=1.0)
    a_gate(campaign, 40, most=3)
    rater = an_annotator(campaign)
    held = [each.assignment_id for each in queue_lease(rater=rater, campaign=campaign, count=4)]
    assert len(held) == 3
    leases_give_back(rater=rater, campaign=campaign, assignment_ids=held[2:])
    fourth = queue_lease(rater=rater, campaign=campaign, held=held, count=4)
    assert len(fourth) == 3
    past = timezone.now() - timedelta(minutes=1)
    Assignment.objects.filter(rater=rater).update(lease_expires_at=past)
    leases_release_expired()
    assert len(queue_lease(rater=rater, campaign=campaign, count=4)) == 3


def test_skipping_is_no_way_to_choose():
    campaign = a_campaign(gate_share=1.0)
    round_id = a_gate(campaign, 10, most=3)
    rater = an_annotator(campaign)
    for _ in range(3):
        held = lease(rater, campaign)
        assignment_skip(rater=rater, assignment_id=held.assignment_id, reason="cannot_judge")
    assert queue_lease_next(rater=rater, campaign=campaign) is None
    assert gate_shares(round_id=round_id) == GateShares(most_per_rater=3, spent=1, skipped=3)


def test_an_answer_that_comes_late_does_not_overdraw_the_share():
    campaign = a_campaign(gate_share=1.0)
    a_gate(campaign, 10, most=2)
    rater = an_annotator(campaign)
    late = lease(rater, campaign)
    past = timezone.now() - timedelta(minutes=1)
    Assignment.objects.filter(pk=late.assignment_id).update(lease_expires_at=past)
    leases_release_expired()
    taken = Comparison.objects.exclude(assignments__rater=rater).order_by("queue_key")[:2]
    Comparison.objects.exclude(pk__in=[c.pk for c in taken]).update(wanted=0)  # two others are open
    label_next(rater, campaign)
    label_next(rater, campaign)
    Comparison.objects.update(wanted=1)
    outcome = submit(rater, late.assignment_id)
    assert outcome.surplus
    judgment_undo(rater=rater, assignment_id=late.assignment_id)
    assert Assignment.objects.get(pk=late.assignment_id).state == "expired"


def test_pairs_are_shown_in_the_drawn_order_also_to_one_who_has_come_far_in_another_round():
    campaign = a_campaign(gate_share=1.0)
    a_gate(campaign, 6, most=None)
    rater = an_annotator(campaign)
    for _ in range(6):
        label_next(rater, campaign)
    round_id = a_gate(campaign, 20, most=None)
    other = an_annotator(campaign)
    for one in (rater, other, rater, rater, other):
        label_next(one, campaign)
    order = Comparison.objects.filter(round_id=round_id).order_by("queue_key")
    assert [pair.judged for pair in order] == [1] * 5 + [0] * 15


def test_each_round_has_shares_of_its_own():
    campaign = a_campaign(gate_share=1.0)
    first = a_gate(campaign, 4, most=1)
    rater = an_annotator(campaign)
    assert [given(rater, campaign) for _ in range(2)] == ["gate", None]
    gate_queue_close(round_id=first)
    a_gate(campaign, 4, most=2)
    assert [given(rater, campaign) for _ in range(3)] == ["gate", "gate", None]
    gate_queue_reopen(round_id=first)
    assert given(rater, campaign) is None


def test_a_spent_share_is_said_while_pairs_of_the_gate_are_open():
    campaign = a_campaign(gate_share=1.0)
    round_id = a_gate(campaign, 3, most=2)
    rater, other = an_annotator(campaign), an_annotator(campaign)
    spent = [gate_share_spent(rater=rater, campaign=campaign)]
    for _ in range(2):
        assert pairs_available(rater=rater, campaign=campaign)
        label_next(rater, campaign)
        spent.append(gate_share_spent(rater=rater, campaign=campaign))
    assert spent == [None, None, 2]
    assert not pairs_available(rater=rater, campaign=campaign)
    assert pairs_available(rater=other, campaign=campaign)
    assert gate_shares(round_id=round_id) == GateShares(2, spent=1, skipped=0)
    label_next(other, campaign)
    assert gate_share_spent(rater=rater, campaign=campaign) is None


def test_a_training_pair_is_available_to_one_whose_share_is_spent():
    campaign = a_campaign(gate_share=1.0)
    a_gate(campaign, 3, most=1)
    rater = an_annotator(campaign)
    label_next(rater, campaign)
    some_pairs(campaign, 1)
    assert pairs_available(rater=rater, campaign=campaign)


def test_a_gate_without_a_limit_and_no_gate_at_all_spend_nobodys_share():
    campaign = a_campaign(gate_share=1.0)
    round_id = a_gate(campaign, 2, most=None)
    rater = an_annotator(campaign)
    label_next(rater, campaign)
    assert gate_shares(round_id=round_id) == GateShares(None, spent=0, skipped=0)
    assert gate_shares(round_id=uuid.uuid4()) == GateShares(None, spent=0, skipped=0)


def test_gate_pairs_belong_to_a_round():
    with pytest.raises(AnnotationError, match="belong to a round"):
        pairs_create(campaign=a_campaign(), purpose="gate", pairs=[])


def test_rounds_of_earlier_releases_keep_their_pairs_without_a_limit():
    from importlib import import_module

    campaign = a_campaign(gate_share=1.0)
    waiting, done = a_gate(campaign, 2, most=1), a_gate(campaign, 2, most=1)
    gate_queue_close(round_id=done)
    GateQueue.objects.all().delete()
    migration = import_module("annotation.comparisons.migrations.0006_gate_queue")
    with connection.cursor() as cursor:
        cursor.execute(migration.ROUNDS_BEFORE)
    assert GateQueue.objects.get(round_id=waiting).closed_at is None
    assert GateQueue.objects.get(round_id=done).closed_at is not None
    assert [given(an_annotator(campaign), campaign)] == ["gate"]
    assert [queue.most_per_rater for queue in GateQueue.objects.all()] == [None, None]
