"""One vote of a user in a period, by whole days, that nothing changes afterwards."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from annotation import facade as annotation
from annotation.signals.models import Signal, SignalVote
from annotation.signals.services import user_hash

pytestmark = pytest.mark.django_db
LINE, VERSION, PERIOD = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def give(user: str, thumb: str, *, hours: float, version: uuid.UUID = VERSION) -> Signal:
    return Signal.objects.create(
        line_id=LINE, version_id=version, completion_id=str(uuid.uuid4()), user=user_hash(user),
        thumb=thumb, given_at=MONDAY + timedelta(hours=hours),
    )  # fmt: skip


@pytest.fixture
def count(monkeypatch):
    def counted(*, hours: float, since: float = 0, until: float = 10_000) -> list[bool]:
        """The votes after counting them at that hour after Monday began."""
        monkeypatch.setattr("django.utils.timezone.now", lambda: MONDAY + timedelta(hours=hours))
        annotation.signal_votes_count(
            line_id=LINE, version_id=VERSION, period_id=PERIOD,
            since=MONDAY + timedelta(hours=since), until=MONDAY + timedelta(hours=until),
        )  # fmt: skip
        return sorted(vote.down for vote in annotation.signal_votes(PERIOD))

    return counted


def test_a_day_is_counted_when_it_is_over(count) -> None:
    give("ann", "down", hours=9)
    assert count(hours=23) == []
    assert count(hours=24.1) == [True]


def test_a_user_has_one_vote_by_most_of_their_thumbs(count) -> None:
    for thumb in ("down", "down", "up"):
        give("ann", thumb, hours=1)
    for thumb in ("down", "up"):
        give("ben", thumb, hours=1)
    give("", "down", hours=1)
    give("cem", "", hours=1)
    assert count(hours=25) == [False, True]


def test_a_vote_stays_as_it_was_counted(count) -> None:
    signal = give("ann", "down", hours=1)
    assert count(hours=25) == [True]
    signal.thumb, signal.given_at = "up", MONDAY + timedelta(hours=26)
    signal.save()
    give("ann", "up", hours=27)
    give("ben", "up", hours=27)
    assert count(hours=49) == [False, True]
    with pytest.raises(IntegrityError), transaction.atomic():
        SignalVote.objects.create(
            period_id=PERIOD, user=user_hash("ann"), down=False, counted_at=MONDAY
        )


def test_only_thumbs_of_the_version_within_the_period_count(count) -> None:
    give("early", "down", hours=1)
    give("late", "down", hours=20)
    give("other version", "down", hours=8, version=uuid.uuid4())
    give("ann", "up", hours=8)
    assert count(hours=50, since=6, until=18) == [False]
    assert count(hours=100, since=6, until=18) == [False]


def test_days_without_a_worker_are_made_good(count) -> None:
    give("ann", "down", hours=1)
    assert count(hours=25) == [True]
    give("ben", "down", hours=30)
    give("cem", "up", hours=60)
    assert count(hours=100) == [False, True, True]


def test_votes_come_in_the_order_of_days_and_then_of_hashes(count) -> None:
    for user in "abcdef":
        give(user, "up", hours=1)
    count(hours=25)
    give("g", "down", hours=26)
    count(hours=49)
    votes = annotation.signal_votes(PERIOD)
    assert [vote.down for vote in votes] == [False] * 6 + [True]
    users = SignalVote.objects.order_by("counted_at", "user").values_list("user", flat=True)
    assert list(users)[:6] == sorted(user_hash(user) for user in "abcdef")


def test_an_erased_user_loses_the_votes(count) -> None:
    give("ann", "down", hours=1)
    give("ben", "up", hours=1)
    assert count(hours=25) == [False, True]
    call_command("erase_signals", "ann")
    assert [vote.down for vote in annotation.signal_votes(PERIOD)] == [False]
