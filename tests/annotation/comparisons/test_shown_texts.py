"""Places between a stored text and the text that is read, with a name hidden in it."""

from __future__ import annotations

from annotation.comparisons.identity import texts_masked
from annotation.comparisons.shown_texts import Hidden, ShownText

#        0123456789012345678
STORED = "😀 I am GPT-4, fine."
SHOWN = ShownText(STORED, [Hidden(7, 12, "[name hidden]")])


def test_a_text_without_anything_hidden_is_read_as_it_is():
    plain = ShownText("a😀b")
    assert plain.text == "a😀b"
    assert plain.to_stored(1, 2) == (1, 2)
    assert plain.to_shown(0, 3) == (0, 3)


def test_places_after_a_hidden_name_move_by_its_length():
    assert SHOWN.text == "😀 I am [name hidden], fine."
    fine = SHOWN.text.index("fine")
    assert SHOWN.to_stored(fine, fine + 4) == (14, 18)
    assert STORED[14:18] == "fine"
    assert SHOWN.to_shown(14, 18) == (fine, fine + 4)
    assert SHOWN.to_stored(0, 4) == SHOWN.to_shown(0, 4) == (0, 4)


def test_a_part_of_a_hidden_name_is_the_whole_name_both_ways():
    assert SHOWN.to_stored(10, 12) == (7, 12)
    assert SHOWN.to_stored(2, 8) == (2, 12)
    assert SHOWN.to_shown(8, 9) == (7, 20)
    assert SHOWN.to_shown(11, 18) == (7, len(SHOWN.text) - 1)


def test_names_at_both_ends_and_beside_each_other():
    text = ShownText("AABB", [Hidden(0, 2, "[1]"), Hidden(2, 4, "[2]")])
    assert text.text == "[1][2]"
    assert text.to_stored(0, 6) == (0, 4)
    assert text.to_stored(2, 3) == (0, 2)
    assert text.to_stored(2, 4) == (0, 4)


def test_what_is_hidden_is_where_the_masked_text_has_it():
    (shown,) = texts_masked(["Hello. I am ChatGPT, made by OpenAI. It is 4."])
    assert "ChatGPT" not in shown.text
    four = shown.text.index("It is 4")
    assert shown.stored[slice(*shown.to_stored(four, four + 7))] == "It is 4"
