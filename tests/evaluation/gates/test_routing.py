"""Who is answered by a canary: a fixed share of the users, always the same ones."""

from __future__ import annotations

import uuid

import pytest

from evaluation.gates.routing import LEAST_SHARE, MOST_SHARE, CanarySplit, conversation_key

USERS = [f"user {n}" for n in range(20_000)]


@pytest.mark.parametrize("share", [LEAST_SHARE, 10, 25, MOST_SHARE])
def test_a_canary_answers_its_share_of_the_users(share: int) -> None:
    split = CanarySplit(uuid.UUID(int=7), share)
    taken = sum(split.takes(user) for user in USERS) / len(USERS)
    # four standard deviations of the widest share: 4 * sqrt(.25 / 20,000)
    assert taken == pytest.approx(share / 100, abs=0.0142)
    assert not any(split.takes(user) and split.takes_not(user) for user in USERS[:100])


def test_the_same_users_are_taken_by_whichever_process_asks() -> None:
    one, same = (CanarySplit(uuid.UUID(int=7), 25) for _ in range(2))
    assert [one.takes(user) for user in USERS[:200]] == [same.takes(user) for user in USERS[:200]]


def test_another_canary_draws_anew() -> None:
    one, other = CanarySplit(uuid.UUID(int=7), 50), CanarySplit(uuid.UUID(int=8), 50)
    both = sum(one.takes(user) and other.takes(user) for user in USERS) / len(USERS)
    assert both == pytest.approx(0.25, abs=0.0125)


def test_a_conversation_keeps_its_key_as_it_grows() -> None:
    begun = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    longer = [*begun, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Why?"}]
    assert conversation_key(begun) == conversation_key(longer)
    assert conversation_key(begun) != conversation_key(begun[1:])
    assert conversation_key([{"role": "system", "content": "\ud800"}])
