"""Asking again until the better side of a pair is sure, and no longer."""

from __future__ import annotations

import pytest

from annotation.comparisons.models import Comparison
from annotation.comparisons.records import Answer
from annotation.comparisons.scale import value_turned
from annotation.comparisons.services import (
    judgment_revise,
    judgment_undo,
    overlap_apply,
    queue_lease_next,
)
from annotation.comparisons.services.overlap import overlap_sampled
from annotation.comparisons.streams import overlap_votes
from annotation.quality.services import exclusion_drawn, exclusion_make
from annotation.statistics.overlap import asks_again, side_sureness
from tests.annotation.comparisons.test_concurrency import together
from tests.annotation.factories import a_campaign, a_simulation, lease, some_pairs, submit
from tests.support.people import person_create
from web.access import LEAD

SURE = {"overlap_sure": 0.8, "overlap_most": 5}


def test_how_sure_by_hand():
    """The posterior of a uniform prior is a binomial tail: P(Beta(1 + a, 1 + b) > 1/2) is that of at most
    a heads among a + b + 1 fair coins."""
    assert side_sureness(0, 0, 0) == pytest.approx(1 / 2)
    assert side_sureness(1, 0, 0) == pytest.approx(3 / 4)
    assert side_sureness(0, 0, 2) == pytest.approx(7 / 8)
    assert side_sureness(2, 0, 1) == pytest.approx(11 / 16)
    assert side_sureness(3, 0, 1) == pytest.approx(26 / 32)
    assert side_sureness(0, 2, 0) == pytest.approx(1 / 2)  # two ties are one vote for each


@pytest.mark.parametrize(
    ("votes", "more"),
    [((0, 0, 0), True), ((1, 0, 0), True), ((2, 0, 0), False), ((1, 0, 1), True), ((2, 0, 1), True),
     ((3, 0, 1), False), ((0, 2, 0), True), ((2, 0, 2), True), ((3, 0, 2), False), ((0, 5, 0), False)],
)  # fmt: skip
def test_when_one_more_is_asked(votes, more):
    assert asks_again(*votes, sure=0.8, most=5) is more


def say(rater, campaign, value):
    """The next pair, answered with `value` in slot order."""
    held = lease(rater, campaign)
    pair = Comparison.objects.get(assignments=held.assignment_id)
    order = pair.assignments.get(pk=held.assignment_id).shown_order
    submit(rater, held.assignment_id, value_turned(value, order))
    pair.refresh_from_db()
    return pair, held.assignment_id


@pytest.mark.django_db
def test_two_who_agree_are_enough_and_two_who_differ_call_a_third():
    campaign = a_campaign(**SURE)
    some_pairs(campaign, 2)
    first, second, third = (a_simulation() for _ in range(3))
    for rater in (first, second):
        for _ in range(2):
            pair, _ = say(rater, campaign, 2)
            assert pair.adaptive
    assert not Comparison.objects.filter(open=True).exists()
    (split,) = some_pairs(campaign, 1)
    say(first, campaign, 2)
    pair, _ = say(second, campaign, 6)
    assert (pair.pk, pair.judged, pair.wanted, pair.open) == (split.pk, 2, 3, True)
    pair, _ = say(third, campaign, 1)
    assert (pair.wanted, pair.open) == (4, True)  # two to one is 0.69
    pair, _ = say(a_simulation(), campaign, 1)
    assert (pair.wanted, pair.open) == (4, False)  # three to one is 0.81


@pytest.mark.django_db
def test_most_people_are_asked_and_no_more():
    campaign = a_campaign(overlap_sure=0.99, overlap_most=3)
    some_pairs(campaign, 1)
    for _ in range(3):
        pair, _ = say(a_simulation(), campaign, 2)
    assert (pair.judged, pair.wanted, pair.open) == (3, 3, False)


@pytest.mark.django_db
def test_while_somebody_is_at_the_pair_nobody_else_is_asked():
    campaign = a_campaign(overlap=2, **SURE)
    some_pairs(campaign, 1)
    slow, quick, other = (a_simulation() for _ in range(3))
    held = lease(slow, campaign)
    pair, _ = say(quick, campaign, 2)
    assert (pair.judged, pair.leased, pair.wanted) == (1, 1, 2)
    assert queue_lease_next(rater=other, campaign=campaign) is None
    submit(slow, held.assignment_id, 1)


@pytest.mark.django_db
def test_an_edit_and_an_undo_are_reconsidered():
    campaign = a_campaign(**SURE)
    some_pairs(campaign, 1)
    one, two = a_simulation(), a_simulation()
    say(one, campaign, 2)
    pair, mine = say(two, campaign, 2)
    assert not pair.open
    order = pair.assignments.get(pk=mine).shown_order
    judgment_revise(
        rater=two,
        assignment_id=mine,
        answer=Answer({"overall": value_turned(6, order)}),
        idempotency_key="e",
    )
    pair.refresh_from_db()
    assert (pair.wanted, pair.open) == (3, True)
    judgment_undo(rater=two, assignment_id=mine)
    pair.refresh_from_db()
    assert (pair.judged, pair.leased, pair.wanted, pair.open) == (1, 1, 2, False)


@pytest.mark.django_db
def test_the_sample_and_pairs_that_decide_stay_as_they_are():
    campaign = a_campaign(overlap_sample_share=1.0, overlap_sample_size=3, **SURE)
    (pair,) = some_pairs(campaign, 1)
    assert overlap_sampled(campaign, pair.pair_digest)
    for _ in range(3):
        pair, _ = say(a_simulation(), campaign, 2)
    assert (pair.judged, pair.wanted, pair.adaptive) == (3, 3, False)
    assert len(overlap_votes(line_id=campaign.line)) == 3


@pytest.mark.django_db
def test_agreement_is_not_measured_on_pairs_that_were_asked_again():
    campaign = a_campaign(**SURE)
    some_pairs(campaign, 1)
    for value in (2, 6, 2):
        say(a_simulation(), campaign, value)
    assert overlap_votes(line_id=campaign.line) == []


@pytest.mark.django_db
def test_earlier_pairs_are_decided_over_at_once():
    campaign = a_campaign(overlap=3)
    agreed, split, untouched = sorted(some_pairs(campaign, 3), key=lambda pair: pair.queue_key)
    one, two = a_simulation(), a_simulation()
    assert say(one, campaign, 2)[0].pk == agreed.pk
    assert say(one, campaign, 2)[0].pk == split.pk
    say(two, campaign, 2)
    say(two, campaign, 6)
    assert overlap_apply(campaign=campaign) == (0, 0)  # a fixed overlap: nothing to decide
    campaign.overlap_sure = 0.8
    campaign.save()
    assert overlap_apply(campaign=campaign) == (0, 1)
    for pair in (agreed, split, untouched):
        pair.refresh_from_db()
    assert [pair.wanted for pair in (agreed, split, untouched)] == [2, 3, 3]
    campaign.overlap_sure = 0.95
    campaign.save()
    assert overlap_apply(campaign=campaign) == (1, 0)


@pytest.mark.django_db
def test_votes_that_are_left_out_do_not_make_a_side_sure():
    campaign = a_campaign(**SURE)
    some_pairs(campaign, 1)
    odd = a_simulation()
    for rater in (odd, a_simulation()):
        pair, _ = say(rater, campaign, 2)
    assert not pair.open
    exclusion_make(
        exclusion=exclusion_drawn(campaign=campaign, rater=odd),
        reason="r",
        actor=person_create("lea", LEAD),
    )
    overlap_apply(campaign=campaign)
    pair.refresh_from_db()
    assert (pair.judged, pair.wanted, pair.open) == (2, 3, True)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_stop_where_it_is_sure_and_never_beyond_the_most():
    campaign = a_campaign(overlap=2, **SURE)
    some_pairs(campaign, 12)
    raters = [a_simulation() for _ in range(7)]

    def work(rater, number):
        answered = 0
        while (held := queue_lease_next(rater=rater, campaign=campaign)) is not None:
            pair = Comparison.objects.get(assignments=held.assignment_id)
            order = pair.assignments.get(pk=held.assignment_id).shown_order
            differ = pair.queue_key < 0.5 and number % 2
            submit(rater, held.assignment_id, value_turned(6 if differ else 2, order))
            answered += 1
        return answered

    together(*(lambda r=r, n=n: work(r, n) for n, r in enumerate(raters)))
    # who found nothing left comes back, as a page does: the last answer may ask for one more
    while sum(work(rater, number) for number, rater in enumerate(raters)):
        pass

    for pair in Comparison.objects.all():
        values = list(
            pair.assignments.filter(judgments__active=True).values_list(
                "judgments__values__value", flat=True
            )
        )
        votes = (values.count(2), 0, values.count(6))
        assert (pair.leased, pair.wanted) == (0, pair.judged)
        assert pair.judged == len(values)
        assert 2 <= pair.judged <= 5
        assert not asks_again(*votes, sure=0.8, most=5)
        # the last answer was still needed, or was asked for before the one before it came in
        assert pair.judged <= 3 or min(votes[0], votes[2]) >= 1
