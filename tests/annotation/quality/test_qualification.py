"""The qualification test: before it is passed no real pair is offered; it counts for nothing else."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.utils import timezone

from annotation import facade
from annotation.comparisons.gold import gold_people
from annotation.comparisons.models import (
    Assignment,
    Judgment,
    QualificationAnswer,
    QualificationTry,
)
from annotation.comparisons.qualifying import must_qualify, needed, qualification_standing
from annotation.comparisons.records import QueueClosed
from annotation.comparisons.services import (
    gold_item_of_pair,
    gold_item_retire,
    qualification_answer,
    qualification_begin,
    queue_lease_next,
)
from annotation.contracts import AnnotationError
from tests.annotation.factories import a_campaign, a_simulation, an_annotator, lease, some_pairs
from tests.support.people import person_create

pytestmark = pytest.mark.django_db


def signed_in(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def with_a_test(items=4, gold=4, **settings):
    """A campaign with a test of `items`, `gold` gold items whose slot 1 is better, and as many pairs."""
    campaign = a_campaign(name="Help desk", qualification_items=items, **settings)
    made = [
        gold_item_of_pair(comparison=pair, gold_value=2, explanation=f"Slot one, item {n}.")
        for n, pair in enumerate(some_pairs(campaign, gold, split="train"))
    ]
    return campaign, made


def take(attempt, right):
    """Answer all items, the first `right` of them right; what the last answer returns."""
    found = None
    for answer in attempt.answers.all():
        better = 1 if answer.shown_order == [1, 2] else 7
        value = better if answer.position <= right else 8 - better
        found = qualification_answer(attempt=attempt, position=answer.position, value=value)
    return found


@pytest.mark.parametrize(
    ("share", "of", "expected"),
    [(0.8, 4, 4), (0.75, 4, 3), (0.8, 10, 8), (0.7, 10, 7), (1.0, 3, 3)],
)
def test_the_share_to_pass_is_rounded_up(share, of, expected):
    assert needed(campaign=a_campaign(qualification_pass=share), of=of) == expected


def test_no_real_pair_before_the_test_is_passed():
    campaign, _ = with_a_test(qualification_pass=0.75)
    rater = an_annotator(campaign)
    with pytest.raises(QueueClosed, match="Pass the qualification test first"):
        queue_lease_next(rater=rater, campaign=campaign)
    attempt = qualification_begin(rater=rater, campaign=campaign)
    assert qualification_begin(rater=rater, campaign=campaign) == attempt
    assert attempt.answers.count() == 4
    assert take(attempt, right=2) is False
    with pytest.raises(QueueClosed):
        queue_lease_next(rater=rater, campaign=campaign)
    again = qualification_begin(rater=rater, campaign=campaign)
    assert (again.number, take(again, right=3)) == (2, True)
    assert Assignment.objects.get(pk=lease(rater, campaign).assignment_id)
    with pytest.raises(AnnotationError, match="no test for you"):
        qualification_begin(rater=rater, campaign=campaign)


def test_the_tries_are_counted_and_simulations_take_none():
    campaign, _ = with_a_test(qualification_tries=1)
    rater = an_annotator(campaign)
    take(qualification_begin(rater=rater, campaign=campaign), right=0)
    standing = qualification_standing(rater=rater, campaign=campaign)
    assert (standing.passed, standing.tried, standing.left) == (False, 1, 0)
    with pytest.raises(AnnotationError, match="no try left"):
        qualification_begin(rater=rater, campaign=campaign)
    assert not must_qualify(rater=a_simulation(), campaign=campaign)
    assert queue_lease_next(rater=a_simulation(), campaign=campaign) is not None


def test_an_answer_stands_and_one_off_the_scale_is_refused():
    campaign, _ = with_a_test()
    attempt = qualification_begin(rater=an_annotator(campaign), campaign=campaign)
    qualification_answer(attempt=attempt, position=1, value=1)
    qualification_answer(attempt=attempt, position=1, value=7)
    first = attempt.answers.get(position=1)
    assert first.value == (1 if first.shown_order == [1, 2] else 7)
    with pytest.raises(AnnotationError, match="whole number from 1 to 7"):
        qualification_answer(attempt=attempt, position=2, value=8)


def test_a_second_try_shows_items_that_the_first_did_not():
    campaign, _ = with_a_test(items=2, gold=4)
    rater = an_annotator(campaign)
    shown: list[uuid.UUID] = []
    for _ in "12":
        attempt = qualification_begin(rater=rater, campaign=campaign)
        shown += attempt.answers.values_list("comparison", flat=True)
        take(attempt, right=0)
    assert len(set(shown)) == 4


def test_too_few_gold_items_are_said():
    campaign, made = with_a_test(items=4)
    gold_item_retire(comparison=made[0])
    with pytest.raises(AnnotationError, match="asks for 4 gold items and the campaign has 3"):
        qualification_begin(rater=an_annotator(campaign), campaign=campaign)
    assert not QualificationTry.objects.exists()


def test_the_test_counts_for_nothing_and_its_items_do_not_come_again_as_gold():
    campaign, made = with_a_test(items=2, gold=3, gold_share=1.0)
    rater = an_annotator(campaign)
    attempt = qualification_begin(rater=rater, campaign=campaign)
    assert take(attempt, right=2) is True
    assert not Judgment.objects.exists()
    assert gold_people(campaign=campaign) == []
    assert facade.label_summary(line_id=campaign.line).raters == ()
    had = set(attempt.answers.values_list("comparison", flat=True))
    purposes = []
    for _ in range(4):
        held = Assignment.objects.get(pk=lease(rater, campaign).assignment_id)
        purposes.append(held.comparison.purpose)
        assert held.comparison_id not in had
        Assignment.objects.filter(pk=held.pk).update(state="skipped")
    assert purposes.count("gold") == 1
    assert len(made) == 3


def test_a_person_takes_the_test_on_the_page_and_is_told_after_each_pair():
    campaign, _ = with_a_test(
        items=2, gold=2, guidelines="Short is better.", qualification_pass=0.5
    )
    rater = an_annotator(campaign)
    ann = signed_in(rater.user)
    home = ann.get("/").content.decode()
    assert "Take the test" in home
    assert "Start comparing" not in home
    place = f"/qualify/{campaign.pk}/"
    assert "Short is better." in ann.get(place).content.decode()
    page = ann.post(place + "begin/", follow=True).content.decode()
    assert "Pair 1 of 2; 1 right are a pass." in page
    for n, right in ((1, False), (2, True)):
        answer = QualificationAnswer.objects.get(position=n)
        better = 1 if answer.shown_order == [1, 2] else 7
        value = better if right else 8 - better
        page = ann.post(place, {"position": n, "value": value}, follow=True).content.decode()
        letter = "A" if better == 1 else "B"
        told = "Right, about" if right else f"the right answer is: {letter} is better."
        assert told in page
        assert answer.comparison.gold_explanation in page
    assert "You have passed." in page
    assert "Start comparing" in ann.get("/").content.decode()
    lead = signed_in(person_create("lea", "lead", line=campaign.line))
    listed = lead.get(f"/campaigns/{campaign.pk}/qualification/").content.decode()
    for said in (str(rater.user), "1 of 2", "passed"):
        assert said in listed


def test_who_fails_is_told_so_and_what_is_left():
    campaign, _ = with_a_test(items=1, gold=2)
    rater = an_annotator(campaign)
    ann = signed_in(rater.user)
    place = f"/qualify/{campaign.pk}/"
    for left in (1, 0):
        ann.post(place + "begin/")
        take(QualificationTry.objects.get(passed__isnull=True), right=0)
        page = ann.get(place).content.decode()
        assert "0 of 1 were right, which is no pass." in page
        assert ("Try again" in page) == (left == 1)
    assert "No try is left: ask your lead." in page
    assert "You have no try left" in ann.post(place + "begin/", follow=True).content.decode()
    lead = signed_in(person_create("lea", "lead", line=campaign.line))
    assert "not passed" in lead.get(f"/campaigns/{campaign.pk}/qualification/").content.decode()


def test_who_took_the_test_is_paged_those_who_failed_first():
    campaign, _ = with_a_test(items=1, gold=1)
    raters = [an_annotator(campaign) for _ in range(60)]
    passed = set(raters[::3])
    for rater in raters:
        QualificationTry.objects.create(
            campaign=campaign,
            rater=rater,
            number=1,
            passed=rater in passed,
            finished_at=timezone.now(),
        )
    lead = signed_in(person_create("lea", "lead", line=campaign.line))
    place = f"/campaigns/{campaign.pk}/qualification/"
    first = lead.get(place).context
    second = lead.get(place + first["page"].older_query).context
    found = [row["person"].rater for row in (*first["rows"], *second["rows"])]
    assert len(first["rows"]) == 50
    by_result = [
        sorted(group, key=lambda r: r.pseudonym) for group in (set(raters) - passed, passed)
    ]
    assert found == [*by_result[0], *by_result[1]]


def test_what_the_form_cannot_read_is_said_and_answers_nothing():
    campaign, _ = with_a_test(items=1, gold=1)
    ann = signed_in(an_annotator(campaign).user)
    ann.post(f"/qualify/{campaign.pk}/begin/")
    for body in (
        {},
        {"position": 1, "value": 9},
        {"position": "x", "value": 1},
        {"position": 7, "value": 1},
    ):
        answer = ann.post(f"/qualify/{campaign.pk}/", body, follow=True)
        assert answer.status_code == 200
    assert QualificationAnswer.objects.get().value is None
