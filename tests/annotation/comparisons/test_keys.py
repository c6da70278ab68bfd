"""The keys of the compare page: one for each act, changed by each person, never two for one."""

from __future__ import annotations

import pytest

from annotation.comparisons.keys import GIVEN, keys_of, keys_read, keys_say
from annotation.comparisons.records import AnswerInvalid


def test_every_act_has_a_key_and_words_and_no_two_share_one():
    assert keys_say().keys() == GIVEN.keys()
    assert len({binding["key"] for binding in GIVEN.values()}) == len(GIVEN)
    assert keys_read(GIVEN) == {}


def test_a_changed_key_holds_beside_the_given_ones():
    own = keys_read({"skip": {"key": "K", "code": "KeyK"}})
    assert own == {"skip": {"key": "k", "code": "KeyK"}}
    assert keys_of(own)["skip"]["key"] == "k"
    assert keys_of({**own, "gone": {"key": "z", "code": ""}}).keys() == GIVEN.keys()


def test_two_acts_may_change_their_keys_with_each_other():
    swapped = {"skip": GIVEN["undo"], "undo": GIVEN["skip"]}
    assert keys_read(swapped) == swapped


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"skip": {"key": "u", "code": "KeyK"}}, "U would be the key for"),
        ({"skip": {"key": "k", "code": "KeyU"}}, "K would be the key for|U would be the key for"),
        ({"skip": {"key": "7", "code": ""}}, "B much better"),
        ({"skip": {"key": "enter", "code": "Enter"}}, "letter, a digit"),
        ({"skip": {"key": " ", "code": "Space"}}, "letter, a digit"),
        ({"skip": {"key": "k", "code": "<b>"}}, "skip"),
        ({"skip": {"key": 5, "code": "KeyK"}}, "skip"),
        ({"skip": "k"}, "skip"),
        ({"fly": {"key": "k", "code": "KeyK"}}, "fly"),
        (["k"], "keys"),
        (None, "keys"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_a_sentence(keys, says):
    with pytest.raises(AnswerInvalid, match=says):
        keys_read(keys)
