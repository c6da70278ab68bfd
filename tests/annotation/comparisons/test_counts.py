from __future__ import annotations

import threading
import uuid

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation import facade
from annotation.accounts.erasure import person_erase
from annotation.campaigns.figures import queue_figures, rater_rows
from annotation.comparisons.copying import rows_copy
from annotation.comparisons.counts import counts_mend, counts_wrong, rater_numbers
from annotation.comparisons.models import Assignment, Comparison, QueueCount, RaterCount
from annotation.comparisons.services import assignment_skip, judgment_undo, leases_release_expired
from annotation.contracts import AnnotationError
from tests.annotation.factories import a_campaign, an_annotator, lease, some_pairs, submit
from tests.support.people import person_create

pytestmark = pytest.mark.django_db


def figures(campaign):
    (found,) = queue_figures(campaign=campaign)
    return found.pairs, found.open, found.leased, found.judged, found.wanted


def people(campaign):
    rows = rater_rows(campaign=campaign, left_out=())
    return {row.name: (row.labels, row.skipped) for row in rows}


def test_the_counts_follow_leases_answers_skips_and_what_is_taken_back():
    campaign = a_campaign(overlap=2)
    some_pairs(campaign, 3)
    ann, ben = an_annotator(campaign), an_annotator(campaign)
    assert figures(campaign) == (3, 3, 0, 0, 6)
    given = lease(ann, campaign)
    assert figures(campaign) == (3, 3, 1, 0, 6)
    submit(ann, given.assignment_id)
    assignment_skip(
        rater=ben, assignment_id=lease(ben, campaign).assignment_id, reason="other: unclear"
    )
    assert figures(campaign) == (3, 3, 0, 1, 6)
    assert people(campaign) == {str(ann.user): (1, 0), str(ben.user): (0, 1)}
    judgment_undo(rater=ann, assignment_id=given.assignment_id, idempotency_key="back")
    assert people(campaign)[str(ann.user)] == (0, 0)
    assert figures(campaign)[2:] == (1, 0, 6)
    assert counts_wrong() == set()


def test_leases_that_run_out_are_not_counted():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    given = lease(an_annotator(campaign), campaign)
    Assignment.objects.filter(pk=given.assignment_id).update(lease_expires_at=timezone.now())
    leases_release_expired()
    assert figures(campaign) == (1, 1, 0, 0, 1)
    assert rater_numbers([campaign.pk]) == {campaign.pk: 1}
    assert counts_wrong() == set()


def test_rows_of_several_campaigns_in_one_statement_are_counted_each_in_its_own():
    first, second = a_campaign(), a_campaign()
    some_pairs(first, 2)
    some_pairs(second, 3)
    Comparison.objects.all().update(closed_at=timezone.now())
    assert (figures(first), figures(second)) == ((2, 0, 0, 0, 2), (3, 0, 0, 0, 3))
    Comparison.objects.filter(campaign=first).update(closed_at=None, wanted=3)
    assert (figures(first), figures(second)) == ((2, 2, 0, 0, 6), (3, 0, 0, 0, 3))
    for pair in Comparison.objects.filter(campaign=second)[:2]:
        pair.slots.all().delete()
        pair.delete()
    assert figures(second) == (1, 0, 0, 0, 1)
    assert counts_wrong() == set()


def test_folding_keeps_the_sums_and_few_rows():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    pairs = Comparison.objects.filter(campaign=campaign)
    for _ in range(300):
        pairs.update(wanted=2)
        pairs.update(wanted=1)
    assert figures(campaign) == (1, 1, 0, 0, 1)
    assert QueueCount.objects.count() < 600
    assert counts_wrong() == set()


def test_a_rater_s_rows_are_folded_sooner():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    given = lease(an_annotator(campaign), campaign)
    mine = Assignment.objects.filter(pk=given.assignment_id)
    for _ in range(150):
        mine.update(state="skipped")
        mine.update(state="leased")
    # one in five statements folds: that 60 in a row do not has a chance of 0.8 ** 60, some 2 in a million
    assert RaterCount.objects.count() < 60
    assert rater_numbers([campaign.pk]) == {campaign.pk: 1}
    assert counts_wrong() == set()


def test_rows_that_come_by_copy_are_counted():
    campaign, other = a_campaign(), a_campaign()
    (pair,) = some_pairs(other, 1)
    columns = ("campaign_id", "prompt_id", "pair_digest", "queue_key", "wanted", "judged")
    rows_copy(
        Comparison,
        ("id", *columns),
        [
            (uuid.uuid4(), campaign.pk, pair.prompt_id, f"{n:064}", n / 9, 2, n % 2)
            for n in range(9)
        ],
    )
    assert figures(campaign) == (9, 9, 0, 4, 18)
    assert counts_wrong() == set()


def test_a_campaign_that_nobody_labels_in_has_no_raters():
    campaign = a_campaign()
    assert rater_numbers([campaign.pk]) == {campaign.pk: 0}
    assert rater_numbers([]) == {}


def test_an_erased_person_s_answers_stay_counted():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    ann = an_annotator(campaign)
    submit(ann, lease(ann, campaign).assignment_id)
    assert ann.user is not None
    person_erase(person=ann.user, actor=person_create("lead", "lead"), reasons="keep")
    assert list(people(campaign).values()) == [(1, 0)]
    assert counts_wrong() == set()


def test_wrong_counts_are_found_and_mended():
    campaign = a_campaign()
    some_pairs(campaign, 2)
    ann = an_annotator(campaign)
    submit(ann, lease(ann, campaign).assignment_id)
    QueueCount.objects.filter(campaign=campaign).update(judged=7)
    assert counts_wrong() == {campaign.pk}
    counts_mend()
    assert counts_wrong() == set()
    RaterCount.objects.all().delete()
    assert counts_wrong() == {campaign.pk}
    counts_mend()
    assert (figures(campaign), counts_wrong()) == ((2, 1, 0, 1, 2), set())


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_do_not_wait_for_each_other_and_lose_no_count():
    campaign = a_campaign()
    pairs = some_pairs(campaign, 4)
    both, failed = threading.Barrier(2, timeout=20), []

    def write(mine, folded):
        try:
            for _ in range(60):
                with transaction.atomic():
                    Comparison.objects.filter(pk__in=mine).update(wanted=2)
                    both.wait()  # each has written, neither has committed
            Comparison.objects.filter(pk__in=mine).update(wanted=folded)
        except Exception as error:
            failed.append(error)
            both.abort()
        finally:
            connections.close_all()

    ids = [pair.pk for pair in pairs]
    threads = [
        threading.Thread(target=write, args=(ids[:2], 1)),
        threading.Thread(target=write, args=(ids[2:], 3)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert figures(campaign) == (4, 4, 0, 0, 8)
    assert counts_wrong() == set()


@pytest.mark.django_db(transaction=True)
def test_counting_anew_gives_way_to_who_writes_and_says_when_it_never_could():
    """A lease writes the pair, then its assignment; what counts anew may hold that one already."""
    campaign = a_campaign()
    (pair,) = some_pairs(campaign, 1)
    rater = an_annotator(campaign)
    begun, go_on, failed = threading.Event(), threading.Event(), []

    def write():
        try:
            with transaction.atomic():
                Comparison.objects.filter(pk=pair.pk).update(leased=1)
                begun.set()
                go_on.wait(20)
                Assignment.objects.create(comparison=pair, rater=rater, shown_order=[1, 2])
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(20)
        with pytest.raises(AnnotationError, match="being written all the time"):
            counts_mend(tries=1)
        threading.Timer(0.2, go_on.set).start()
        counts_mend()
    finally:
        go_on.set()
        writer.join()
    assert not failed
    assert figures(campaign)[2] == 1
    assert rater_numbers([campaign.pk]) == {campaign.pk: 1}
    assert counts_wrong() == set()


def test_a_hundred_campaigns_are_summed_up_in_as_many_queries_as_three():
    line = uuid.uuid4()

    def queries():
        with CaptureQueriesContext(connection) as sent:
            facade.line_campaigns(line_id=line)
            facade.queue_status(line_id=line)
        return len(sent)

    for _ in range(3):
        some_pairs(a_campaign(line_id=line), 1)
    few = queries()
    for _ in range(9):
        some_pairs(a_campaign(line_id=line), 1)
    assert queries() == few
    assert facade.queue_status(line_id=line).open_training == 12
