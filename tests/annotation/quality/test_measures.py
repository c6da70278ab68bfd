"""What is measured of a campaign and of a person, against counts by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from annotation.accounts.models import Rater
from annotation.comparisons.records import Answer
from annotation.comparisons.services import gold_item_create, judgment_revise, judgment_undo
from annotation.quality.answers import answer_arrays
from annotation.quality.measures import agreement, drifts, habits, weeks
from annotation.quality.pages import people_rows, quality_measure
from annotation.quality.services import exclusion_drawn, exclusion_lift, exclusion_make
from tests.annotation.factories import a_campaign, an_annotator, some_pairs
from tests.annotation.quality.world import again, say
from tests.support.given import given
from tests.support.people import person_create
from web.access import LEAD

pytestmark = pytest.mark.django_db


def of(campaign, rater):
    return next(row for row in people_rows(campaign=campaign) if row.rater_id == rater.pk)


def test_sides_lengths_and_ties_by_hand():
    campaign = a_campaign()
    ann = an_annotator(campaign)
    pairs = some_pairs(campaign, 5)
    say(ann, pairs[0], 1)  # left
    say(ann, pairs[1], 7, order=(2, 1))  # left again, slot 2
    say(ann, pairs[2], 7)  # right
    say(ann, pairs[3], 4)
    say(ann, pairs[4], 2, imported=True)  # the sides were not drawn by us
    row = of(campaign, ann)
    assert (row.left.value, row.left.n) == (2 / 3, 3)
    # "first answer N" is one character shorter than "second answer N"
    assert (row.longer.value, row.longer.n) == (2 / 4, 4)
    assert row.labels == 5
    ties = given(habits(answer_arrays(campaign=campaign)).ties.of(0))
    assert (ties.value, ties.n) == (1 / 5, 5)


def test_agreement_with_others_by_hand():
    campaign = a_campaign()
    ann, ben, cleo = (an_annotator(campaign) for _ in range(3))
    one, two, three = some_pairs(campaign, 3)
    for rater, value in ((ann, 1), (ben, 2), (cleo, 6)):
        say(rater, one, value)
    for rater, value in ((ann, 6), (ben, 4)):
        say(rater, two, value)
    say(ann, three, 1)
    # On the first pair one of Ann's two others agrees; on the second Ben tied; the third is hers alone.
    assert (of(campaign, ann).with_others.value, of(campaign, ann).with_others.n) == (0.5, 1)
    assert (of(campaign, cleo).with_others.value, of(campaign, cleo).with_others.n) == (0.0, 1)
    found = agreement(answer_arrays(campaign=campaign))
    assert found.share is None  # one pair with two sides chosen bears no interval
    # Sides of the two shared pairs: (-, -, +) and (+, tie). Coincidences over votes less one, by hand:
    # observed disagreement (2/2 * 2 + 2/1) = 4 of n = 5; sides: 2 first, 1 tie, 2 second, so that the
    # expected is (25 - 9) / 4 = 4.
    assert given(found.alpha_side).value == pytest.approx(1 - 4 / 4)
    # AC1, by hand: observed (1/3 + 0) / 2 on the two shared pairs; the shares of the three sides over all
    # three pairs, Ann's own too, are 5/9, 1/6 and 5/18, so that chance is (1 - 134/324) / 2 = 95/324.
    ac1 = given(found.gwet_side)
    assert ac1.value == pytest.approx((1 / 6 - 95 / 324) / (1 - 95 / 324))
    assert ac1.n == 2


def test_gold_and_repeats_by_hand():
    campaign = a_campaign()
    ann = an_annotator(campaign)
    pairs = some_pairs(campaign, 3, split="train")
    gold = [
        gold_item_create(campaign=campaign, prompt=pairs[0].prompt, texts=(f"r{n}", f"w{n}"), gold_value=2)
        for n in range(3)
    ]  # fmt: skip
    say(ann, gold[0], 1)
    say(ann, gold[1], 3, order=(2, 1))
    say(ann, gold[2], 6)
    for pair, first, second in zip(pairs, (1, 6, 4), (3, 2, 4), strict=True):
        say(ann, pair, first)
        say(ann, again(pair, campaign), second, order=(2, 1))
    row = of(campaign, ann)
    assert (row.gold.value, row.gold.n) == (2 / 3, 3)
    assert (row.repeats.value, row.repeats.n) == (2 / 3, 3)  # the tie was a tie again
    assert row.labels == 3


def test_what_was_superseded_taken_back_or_late_does_not_count():
    campaign = a_campaign()
    ann = an_annotator(campaign)
    one, two, three = some_pairs(campaign, 3)
    edited = say(ann, one, 1)
    judgment_revise(
        rater=ann, assignment_id=edited.pk, answer=Answer({"overall": 7}), idempotency_key="e"
    )
    judgment_undo(rater=ann, assignment_id=say(ann, two, 1).pk)
    say(ann, three, 1, late=True)
    answers = answer_arrays(campaign=campaign)
    assert answers.value.tolist() == [7]
    assert not answers.cut


def test_people_who_are_left_out_stand_apart_and_come_back():
    campaign = a_campaign()
    ann, ben, odd = (an_annotator(campaign) for _ in range(3))
    for pair in some_pairs(campaign, 4):
        say(ann, pair, 1)
        say(ben, pair, 2)
        say(odd, pair, 7)
    before = quality_measure(campaign=campaign)
    assert [row.rater_id for row in before.excluded] == []
    share = next(row for row in before.agreement if row.name == "Same side chosen")
    assert given(share.estimate).value == pytest.approx(1 / 3)
    lea = person_create("lea", LEAD)
    drawn = exclusion_drawn(campaign=campaign, rater=odd)
    left_out = exclusion_make(exclusion=drawn, reason="always the other", actor=lea)
    page = quality_measure(campaign=campaign)
    assert [row.rater_id for row in page.excluded] == [odd.pk]
    assert {row.rater_id for row in page.people} == {ann.pk, ben.pk}
    share = next(row for row in page.agreement if row.name == "Same side chosen")
    assert given(share.estimate).value == 1.0
    assert page.labels == 8
    assert given(page.excluded[0].with_others).value == 0.0  # still held against those who count
    assert page.excluded[0].reliability is None
    exclusion_lift(exclusion=left_out, actor=lea)
    assert quality_measure(campaign=campaign).labels == 12


def test_only_the_newest_answers_are_read():
    campaign = a_campaign()
    ann = an_annotator(campaign)
    for number, pair in enumerate(some_pairs(campaign, 3)):
        say(ann, pair, number + 1, at=datetime(2030, 1, 1 + number, tzinfo=UTC))
    answers = answer_arrays(campaign=campaign, newest=2)
    assert answers.value.tolist() == [3, 2]
    assert answers.cut


def test_weeks_by_hand():
    campaign = a_campaign()
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    monday = datetime(2030, 1, 7, 12, tzinfo=UTC)
    one, two = some_pairs(campaign, 2)
    said = [
        (ann, one, 1, 10.0, 0),
        (ben, one, 7, 20.0, 1),
        (ann, two, 1, 30.0, 7),
        (ben, two, 2, 40.0, 8),
    ]
    for rater, pair, value, seconds, days in said:
        say(rater, pair, value, seconds=seconds, at=monday + timedelta(days=days))
    first, second = weeks(answer_arrays(campaign=campaign))
    assert (first.start, first.answers) == (datetime(2030, 1, 7, tzinfo=UTC), 2)
    assert (first.seconds, first.agreeing) == (15.0, 0.0)
    assert (second.answers, second.seconds, second.agreeing) == (2, 35.0, 1.0)


def test_drift_is_told_when_its_whole_interval_is_below_nothing():
    campaign = a_campaign()
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    for number, pair in enumerate(some_pairs(campaign, 60)):
        say(ben, pair, 1)
        at = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        say(ann, pair, 1 if number < 30 else 7, at=at)
    answers = answer_arrays(campaign=campaign)
    place = [rater.pk for rater in answers.raters].index(ann.pk)
    found = given(drifts(answers)[place])
    assert found.change == -1.0
    assert found.high < -0.8
    assert found.parts[0] == 1.0
    assert found.parts[-1] == 0.0
    assert "agreement with others fell by 100 points" in of(campaign, ann).signs


def test_who_always_presses_left_gets_a_sign_and_a_low_reliability():
    campaign = a_campaign()
    good = [an_annotator(campaign) for _ in range(3)]
    lazy = an_annotator(campaign)
    for number, pair in enumerate(some_pairs(campaign, 40)):
        order = (1, 2) if number % 2 else (2, 1)
        better = 1 if number % 4 < 3 else 7  # slot 1 three times in four
        for rater in good:
            say(rater, pair, better, order=order)
        say(lazy, pair, 1 if order[0] == 1 else 7, order=order)
    row = of(campaign, lazy)
    assert (row.left.value, row.left.n) == (1.0, 40)
    assert row.reliability.high < 0.7
    assert any(sign.startswith("chooses the left text 100%") for sign in row.signs)
    for rater in good:
        assert of(campaign, rater).reliability.low > 0.8
        assert of(campaign, rater).signs == ()


def test_an_empty_campaign_has_nothing_to_measure():
    campaign = a_campaign()
    page = quality_measure(campaign=campaign)
    assert (page.read, page.labels, page.people, page.weeks) == (0, 0, (), ())
    assert all(row.estimate is None for row in (*page.agreement, *page.habits))
    assert Rater.objects.count() == 0
