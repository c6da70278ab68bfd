"""Which pair a rater gets next, and which never."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotation.accounts.models import Rater, Role, User
from annotation.accounts.services import membership_grant, rater_for
from annotation.campaigns.models import Campaign
from annotation.campaigns.services import campaign_set_state
from annotation.comparisons.gauges import campaign_gauges
from annotation.comparisons.models import Assignment, Comparison, GateQueue
from annotation.comparisons.records import (
    AnswerFixed,
    AnswerInvalid,
    Lease,
    NotYours,
    QueueClosed,
)
from annotation.comparisons.services import (
    assignment_skip,
    draft_save,
    gate_queue_close,
    gate_queue_reopen,
    gold_item_create,
    leases_give_back,
    leases_release_expired,
    pairs_create,
    queue_lease,
    queue_lease_next,
)
from annotation.comparisons.services.queue import sides_drawn
from annotation.contracts import NewCompletion, NewPair
from annotation.facade import gate_queue_status
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


def expire(assignment_id: uuid.UUID) -> None:
    past = timezone.now() - timedelta(minutes=1)
    Assignment.objects.filter(pk=assignment_id).update(lease_expires_at=past)


def test_a_reload_brings_the_same_pair_and_a_prefetch_the_next():
    campaign = a_campaign()
    some_pairs(campaign, 3)
    annotator = an_annotator(campaign)
    first = lease(annotator, campaign)
    second = queue_lease(rater=annotator, campaign=campaign, held=[first.assignment_id])[-1]
    assert second.assignment_id != first.assignment_id
    again = lease(annotator, campaign)
    assert again.assignment_id == first.assignment_id
    submit(annotator, first.assignment_id)
    assert lease(annotator, campaign).assignment_id == second.assignment_id


def ids(leases: list[Lease]) -> list[uuid.UUID]:
    return [held.assignment_id for held in leases]


def test_a_page_holds_three_ahead_and_names_what_it_holds():
    campaign = a_campaign()
    some_pairs(campaign, 20)
    annotator = an_annotator(campaign)
    shown = lease(annotator, campaign).assignment_id
    four = ids(queue_lease(rater=annotator, campaign=campaign, held=[shown], count=3))
    assert (four[0], len(set(four))) == (shown, 4)
    submit(annotator, shown)
    refilled = ids(queue_lease(rater=annotator, campaign=campaign, held=four, count=1))
    assert refilled[:3] == four[1:]
    assert len(refilled) == 4
    # a reload knows nothing and meets the same pairs, the one that was open first
    again = queue_lease(rater=annotator, campaign=campaign, count=4, prefer=refilled[2])
    assert ids(again)[0] == refilled[2]
    assert set(ids(again)) == set(refilled)
    assert Assignment.objects.filter(state="leased").count() == 4


def test_what_is_held_is_renewed_and_what_is_lost_is_not_named():
    campaign = a_campaign()
    some_pairs(campaign, 20)
    annotator = an_annotator(campaign)
    first, second = ids(queue_lease(rater=annotator, campaign=campaign, count=2))
    expire(first)
    held = queue_lease(rater=annotator, campaign=campaign, held=[first, second])
    assert ids(held)[:2] == [first, second]
    assert leases_release_expired() == 0
    expire(second)
    leases_release_expired()
    taken = ids(queue_lease(rater=annotator, campaign=campaign, held=[first, second]))
    assert first in taken
    assert second not in taken


def test_nobody_holds_more_than_a_page_needs():
    campaign = a_campaign()
    some_pairs(campaign, 60)
    annotator = an_annotator(campaign)
    held: list[uuid.UUID] = []
    for _ in range(6):
        held = ids(queue_lease(rater=annotator, campaign=campaign, held=held, count=4))
    assert len(held) == 12


def test_a_person_holds_one_ahead_when_few_pairs_are_left():
    campaign = a_campaign()
    some_pairs(campaign, 8)
    first, second = an_annotator(campaign), an_annotator(campaign)
    assert len(queue_lease(rater=first, campaign=campaign, count=4)) == 2
    assert len(queue_lease(rater=second, campaign=campaign, count=4)) == 2


def test_pairs_given_back_are_open_again_and_count_as_no_lease_that_ran_out():
    campaign = a_campaign()
    some_pairs(campaign, 20)
    annotator, other = an_annotator(campaign), an_annotator(campaign)
    shown, *ahead = ids(queue_lease(rater=annotator, campaign=campaign, count=4))
    foreign = lease(other, campaign).assignment_id
    leases_give_back(rater=annotator, campaign=campaign, assignment_ids=[*ahead, foreign])
    assert set(Assignment.objects.filter(state="leased").values_list("pk", flat=True)) == {
        shown,
        foreign,
    }
    assert Comparison.objects.filter(leased=1).count() == 2
    (gauge,) = campaign_gauges()
    assert (gauge.leased, gauge.expired) == (2, 0)
    expire(foreign)
    leases_release_expired()
    assert campaign_gauges()[0].expired == 1
    leases_give_back(rater=annotator, campaign=campaign, assignment_ids=ahead)  # twice is once
    assert Comparison.objects.filter(leased=1).count() == 1


def test_what_was_given_back_comes_to_somebody_once():
    campaign = a_campaign()
    some_pairs(campaign, 14)
    annotator, other = an_annotator(campaign), an_annotator(campaign)
    _, *ahead = ids(queue_lease(rater=annotator, campaign=campaign, count=4))
    assert len(ahead) == 3
    leases_give_back(rater=annotator, campaign=campaign, assignment_ids=ahead)
    for rater in (other, annotator):
        while queue_lease_next(rater=rater, campaign=campaign):
            label_next(rater, campaign)
    assert Comparison.objects.filter(judged=1, leased=0).count() == 14


def test_two_raters_never_hold_the_same_pair_when_one_label_is_wanted():
    campaign = a_campaign()
    some_pairs(campaign, 2)
    first, second = an_annotator(campaign), an_annotator(campaign)
    held = {lease(first, campaign).assignment_id, lease(second, campaign).assignment_id}
    assert Assignment.objects.filter(pk__in=held).values("comparison").distinct().count() == 2
    assert queue_lease_next(rater=an_annotator(campaign), campaign=campaign) is None


def test_overlap_gives_a_pair_to_as_many_raters_and_to_none_of_them_twice():
    campaign = a_campaign(overlap=2)
    (pair,) = some_pairs(campaign, 1)
    first, second, third = (an_annotator(campaign) for _ in range(3))
    label_next(first, campaign)
    assert queue_lease_next(rater=first, campaign=campaign) is None
    label_next(second, campaign)
    assert queue_lease_next(rater=third, campaign=campaign) is None
    pair.refresh_from_db()
    assert (pair.judged, pair.leased, pair.open) == (2, 0, False)


def test_the_overlap_sample_gets_its_share():
    campaign = a_campaign(overlap_sample_share=0.25, overlap_sample_size=3)
    wanted = [pair.wanted for pair in some_pairs(campaign, 400)]
    assert set(wanted) == {1, 3}
    assert 65 <= wanted.count(3) <= 135  # 100 expected, 4 standard deviations of 8.7


def test_a_skipped_pair_goes_to_somebody_else_and_never_comes_back():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    first, second = an_annotator(campaign), an_annotator(campaign)
    held = lease(first, campaign)
    assignment_skip(rater=first, assignment_id=held.assignment_id, reason="cannot_judge")
    assert queue_lease_next(rater=first, campaign=campaign) is None
    label_next(second, campaign)
    with pytest.raises(AnswerFixed, match="skipped"):
        submit(first, held.assignment_id)


def test_skipping_needs_a_reason():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    annotator = an_annotator(campaign)
    with pytest.raises(AnswerInvalid, match="why"):
        assignment_skip(
            rater=annotator, assignment_id=lease(annotator, campaign).assignment_id, reason=" "
        )


def test_an_expired_lease_goes_to_the_next_rater_who_asks():
    campaign = a_campaign()
    (pair,) = some_pairs(campaign, 1)
    away, present = an_annotator(campaign), an_annotator(campaign)
    expire(lease(away, campaign).assignment_id)
    taken = lease(present, campaign)
    assert Assignment.objects.get(pk=taken.assignment_id).comparison == pair
    pair.refresh_from_db()
    assert (pair.judged, pair.leased) == (0, 1)


def test_an_expired_lease_that_nobody_took_comes_back_with_its_sides_and_draft():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    annotator = an_annotator(campaign)
    held = lease(annotator, campaign)
    draft_save(rater=annotator, assignment_id=held.assignment_id, draft={"rationale": "half a th"})
    before = Assignment.objects.get(pk=held.assignment_id)
    expire(held.assignment_id)
    assert leases_release_expired() == 1
    again = lease(annotator, campaign)
    after = Assignment.objects.get(pk=again.assignment_id)
    assert again.assignment_id == held.assignment_id
    assert (after.shown_order, after.draft) == (before.shown_order, {"rationale": "half a th"})


def test_saving_a_draft_extends_the_lease():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    annotator = an_annotator(campaign)
    held = lease(annotator, campaign)
    expire(held.assignment_id)
    draft_save(rater=annotator, assignment_id=held.assignment_id, draft={})
    assert leases_release_expired() == 0


def test_a_draft_belongs_to_its_rater():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    held = lease(an_annotator(campaign), campaign)
    with pytest.raises(NotYours):
        draft_save(rater=an_annotator(campaign), assignment_id=held.assignment_id, draft={})


def test_the_share_of_gate_pairs_is_respected():
    campaign = a_campaign(gate_share=0.3)
    some_pairs(campaign, 50)
    some_pairs(campaign, 50, purpose="gate", round_id=uuid.uuid4())
    annotator = a_simulation()
    for _ in range(40):
        label_next(annotator, campaign)
    gates = Comparison.objects.filter(purpose="gate", judged=1).count()
    assert 1 <= gates <= 23  # 12 expected, 4 standard deviations of 2.9


def test_nobody_sits_idle_while_pairs_of_another_kind_are_open():
    campaign = a_campaign(gate_share=0.0)
    some_pairs(campaign, 2, purpose="gate", round_id=uuid.uuid4())
    annotator = an_annotator(campaign)
    label_next(annotator, campaign)
    label_next(annotator, campaign)
    assert queue_lease_next(rater=annotator, campaign=campaign) is None


def test_pairs_added_behind_the_rater_are_found():
    campaign = a_campaign()
    annotator = an_annotator(campaign)
    for _ in range(6):
        some_pairs(campaign, 2)
        label_next(annotator, campaign)
        label_next(annotator, campaign)
    assert Comparison.objects.filter(judged=1).count() == 12


def test_a_gold_item_comes_once_to_every_rater():
    campaign = a_campaign(gold_share=1.0)
    source = some_pairs(campaign, 1)[0]
    gold_item_create(
        campaign=campaign, prompt=source.prompt, texts=("right", "wrong"), gold_value=1
    )
    for annotator in (an_annotator(campaign), an_annotator(campaign)):
        first = Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)
        assert first.comparison.purpose == "gold"
        submit(annotator, first.pk)
        following = queue_lease_next(rater=annotator, campaign=campaign)
        assert (
            following is None
            or not Assignment.objects.filter(
                pk=following.assignment_id, comparison__purpose="gold"
            ).exists()
        )


def test_a_repeat_is_a_comparison_of_its_own_with_the_sides_flipped():
    campaign = a_campaign(repeat_share=1.0)
    some_pairs(campaign, 40)
    annotator = an_annotator(campaign)
    for _ in range(10):
        label_next(annotator, campaign)
    assert not Comparison.objects.filter(purpose="repeat_of").exists()
    label_next(annotator, campaign)
    held = Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)
    original = held.comparison.repeat_of
    assert original is not None
    earlier = Assignment.objects.get(comparison=original, rater=annotator)
    assert held.shown_order == earlier.shown_order[::-1]
    assert [s.completion_id for s in held.comparison.slots.all()] == [
        s.completion_id for s in original.slots.all()
    ]


def test_a_repeat_given_back_returns_to_the_one_it_was_made_for():
    campaign = a_campaign(repeat_share=1.0)
    some_pairs(campaign, 40)
    annotator = an_annotator(campaign)
    for _ in range(11):
        label_next(annotator, campaign)
    held = Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)
    assert held.comparison.purpose == "repeat_of"
    leases_give_back(rater=annotator, campaign=campaign, assignment_ids=[held.pk])
    assert lease(annotator, campaign).assignment_id == held.pk
    submit(annotator, held.pk)
    held.comparison.refresh_from_db()
    assert (held.comparison.judged, held.comparison.leased) == (1, 0)


def test_sides_are_balanced():
    campaign = a_campaign()
    pairs, rater = some_pairs(campaign, 400), a_simulation()
    left_first = [sides_drawn(pair, rater) for pair in pairs].count([1, 2])
    assert 160 <= left_first <= 240  # 200 expected, 4 standard deviations of 10


def test_a_paused_campaign_gives_out_nothing():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    campaign_set_state(campaign=campaign, state="paused")
    with pytest.raises(QueueClosed, match="paused"):
        queue_lease_next(rater=an_annotator(campaign), campaign=campaign)


def test_an_outsider_gets_nothing():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    user = User.objects.create_user(username="outsider", email="outsider@example.com")
    membership_grant(user=user, role=Role.ANNOTATOR, line_id=uuid.uuid4())
    with pytest.raises(QueueClosed, match="no role"):
        queue_lease_next(rater=rater_for(user=user), campaign=campaign)


def test_a_spent_label_budget_ends_the_queue():
    campaign = a_campaign(label_budget=2)
    some_pairs(campaign, 5)
    annotator = an_annotator(campaign)
    label_next(annotator, campaign)
    label_next(annotator, campaign)
    assert queue_lease_next(rater=annotator, campaign=campaign) is None


def test_pairs_held_ahead_do_not_overdraw_the_label_budget():
    campaign = a_campaign(label_budget=3)
    some_pairs(campaign, 30)
    first, second = an_annotator(campaign), an_annotator(campaign)
    label_next(first, campaign)
    assert len(queue_lease(rater=first, campaign=campaign, count=4)) == 2
    assert queue_lease_next(rater=second, campaign=campaign) is None


def test_pairs_of_a_round_are_taken_in_once():
    campaign = a_campaign()
    round_id = uuid.uuid4()
    (pair,) = some_pairs(campaign, 1, round_id=round_id)
    again = NewPair(
        prompt_id=pair.prompt_id,
        completions=(NewCompletion("x", uuid.uuid4()), NewCompletion("y", uuid.uuid4())),
    )
    assert (
        pairs_create(campaign=campaign, purpose="training", round_id=round_id, pairs=[again]) == 0
    )
    assert pairs_create(campaign=campaign, purpose="gate", round_id=round_id, pairs=[again]) == 1


def test_nobody_is_asked_about_two_equal_texts():
    campaign = a_campaign(gate_share=0.5)
    source = some_pairs(campaign, 4)
    Comparison.objects.filter(round_id=None).update(closed_at=timezone.now())
    round_id, one, two = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    pairs = [
        NewPair(pair.prompt_id, (NewCompletion("same", one), NewCompletion(text, two)))
        for pair, text in zip(source, ("same", "other", "same", "another"), strict=True)
    ]
    for purpose in ("gate", "training"):
        for new in (2, 0):  # the second time nothing is new
            assert new == pairs_create(
                campaign=campaign, purpose=purpose, round_id=round_id, pairs=pairs
            )
    ties = Comparison.objects.filter(round_id=round_id, wanted=0)
    assert [tie.purpose for tie in ties] == ["gate", "gate"]  # ties that count without an answer
    assert tuple(gate_queue_status(round_id=round_id)) == (2, 0, 0)
    gate_queue_close(round_id=round_id)
    assert gate_queue_reopen(round_id=round_id) == 2
    annotator = an_annotator(campaign)
    for _ in range(4):
        label_next(annotator, campaign)
    assert queue_lease_next(rater=annotator, campaign=campaign) is None
    assert not ties.filter(assignments__isnull=False).exists()


@pytest.mark.slow
@pytest.mark.parametrize("skips", [0, 5])
def test_claiming_a_gate_pair_looks_at_a_handful_of_rows_however_many_are_offered(skips):
    campaign = a_campaign(gate_share=1.0)
    some_pairs(campaign, 2000, purpose="gate", round_id=uuid.uuid4())
    GateQueue.objects.update(most_per_rater=40)
    rater = a_simulation()
    for _ in range(skips):  # stay open in front of the rater
        held = queue_lease_next(rater=rater, campaign=campaign)
        assert held is not None
        assignment_skip(rater=rater, assignment_id=held.assignment_id, reason="cannot_judge")
    for _ in range(25):
        label_next(rater, campaign)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert _rows_read(rater, campaign) <= 40 + 5 * skips


@pytest.mark.slow
def test_claiming_looks_at_a_handful_of_rows_however_large_the_campaign():
    campaign = a_campaign(overlap=2)
    some_pairs(campaign, 2000)
    rater = a_simulation()
    for _ in range(25):  # half-judged pairs pile up behind the rater
        label_next(rater, campaign)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        # The assignments fit on one page here, where reading all of it is cheapest; not so in life.
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert _rows_read(rater, campaign) <= 10


def _rows_read(rater: Rater, campaign: Campaign) -> float:
    """Rows that the claiming query looked at, by PostgreSQL's own account."""
    seen: list[float] = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "queue_key" in sql and "SKIP LOCKED" in sql:
            with connection.connection.cursor() as raw:
                raw.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql, params)
                seen.append(_scanned(raw.fetchone()[0][0]["Plan"]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        queue_lease_next(rater=rater, campaign=campaign)
    assert seen
    return sum(seen)


def _scanned(node: dict[str, Any]) -> float:
    here = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    below = sum(_scanned(child) for child in node.get("Plans", []))
    return float(here * node["Actual Loops"] * ("Scan" in node["Node Type"]) + below)
