"""Many raters at once, on real threads and real transactions."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from annotation.comparisons.models import Assignment, Comparison, Judgment
from annotation.comparisons.records import Answer
from annotation.comparisons.services import (
    assignment_skip,
    judgment_submit,
    judgment_undo,
    leases_release_expired,
    queue_lease,
    queue_lease_next,
)
from tests.annotation.factories import a_campaign, a_simulation, some_pairs

pytestmark = pytest.mark.django_db(transaction=True)


def together(*workers):
    """Run every worker on a thread of its own, all starting at once; re-raise what they raise."""
    failures = []
    start = threading.Barrier(len(workers))

    def run(worker):
        try:
            start.wait()
            worker()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if failures:
        raise failures[0]


def answer(rater, assignment_id, key=None):
    return judgment_submit(
        rater=rater,
        assignment_id=assignment_id,
        answer=Answer(values={"overall": 3}),
        idempotency_key=key or str(uuid.uuid4()),
    )


def test_eight_raters_fill_every_place_once_and_lose_nothing():
    campaign = a_campaign(overlap=2, overlap_sample_share=0.3, overlap_sample_size=3)
    some_pairs(campaign, 25)
    raters = [a_simulation() for _ in range(8)]
    submitted: Counter[str] = Counter()

    def work(rater):
        while (held := queue_lease_next(rater=rater, campaign=campaign)) is not None:
            queue_lease(rater=rater, campaign=campaign, held=[held.assignment_id], count=3)
            answer(rater, held.assignment_id)
            submitted[rater.pseudonym] += 1

    together(*(lambda rater=rater: work(rater) for rater in raters))

    pairs = list(Comparison.objects.all())
    assert all(pair.judged == pair.wanted and pair.leased == 0 for pair in pairs)
    assert sum(submitted.values()) == sum(pair.wanted for pair in pairs)
    assert Judgment.objects.filter(active=True, surplus=False).count() == sum(submitted.values())
    per_pair = Counter(Assignment.objects.values_list("comparison_id", "rater_id"))
    assert set(per_pair.values()) == {1}


def test_leases_that_expire_under_way_never_take_a_pair_over_its_overlap():
    campaign = a_campaign(overlap=1)
    some_pairs(campaign, 12)
    raters = [a_simulation() for _ in range(5)]
    past = timezone.now() - timedelta(hours=1)

    def work(rater, seed):
        dice = random.Random(seed)
        for _ in range(25):
            held = queue_lease_next(rater=rater, campaign=campaign)
            if held is None:
                return
            what = dice.random()
            if what < 0.4:
                Assignment.objects.filter(pk=held.assignment_id).update(lease_expires_at=past)
                leases_release_expired()
                answer(rater, held.assignment_id)
            elif what < 0.5:
                assignment_skip(rater=rater, assignment_id=held.assignment_id, reason="technical")
            elif what < 0.6:
                answer(rater, held.assignment_id)
                judgment_undo(rater=rater, assignment_id=held.assignment_id)
            else:
                answer(rater, held.assignment_id)

    together(*(lambda r=r, n=n: work(r, n) for n, r in enumerate(raters)))

    for pair in Comparison.objects.all():
        counted = Judgment.objects.filter(
            assignment__comparison=pair, active=True, surplus=False
        ).count()
        live = Assignment.objects.filter(comparison=pair, state="leased").count()
        assert (pair.judged, pair.leased) == (counted, live)
        assert pair.judged + pair.leased <= pair.wanted
    assert not Comparison.objects.filter(wanted__lt=F("judged") + F("leased")).exists()


def test_a_double_click_leases_one_pair_and_records_one_judgment():
    campaign = a_campaign()
    some_pairs(campaign, 5)
    rater = a_simulation()
    leases, outcomes = [], []
    together(*[lambda: leases.append(queue_lease_next(rater=rater, campaign=campaign))] * 4)
    (assignment_id,) = {held.assignment_id for held in leases if held is not None}
    together(*[lambda: outcomes.append(answer(rater, assignment_id, key="one"))] * 4)
    assert len({outcome.judgment_id for outcome in outcomes}) == 1
    assert sorted(outcome.repeated for outcome in outcomes) == [False, True, True, True]
    assert Judgment.objects.count() == 1
