import math

import numpy as np
import pytest

from evaluation.statistics.style import (
    STYLES,
    length_differences,
    markdown_count,
    style_differences,
    text_length,
)

MARKED = """# Title

Some **bold** and __more__, 2 * 3 * 4.

- one
* two
1. three
  2) four

#hashtag, -minus, 3.14
"""


def test_markdown_is_counted_where_it_would_be_rendered():
    assert {style: markdown_count(MARKED, style) for style in STYLES} == {
        "headings": 1,
        "list items": 4,
        "bold": 2,
    }


def test_white_space_does_not_lengthen_a_text():
    assert text_length(" a  b\n\n\nc ") == len("a b c")
    assert text_length("你好吗") == 3  # no spaces to count words by


def test_differences_are_worked_out_by_hand():
    found = length_differences(np.array([[30.0, 10.0], [10.0, 10.0], [10.0, 20.0]]))
    spread = math.sqrt((20**2 + 0 + 10**2) / 3)
    assert found["length"] == pytest.approx([math.tanh(20 / spread), 0, -math.tanh(10 / spread)])
    assert found["relative length"] == pytest.approx([20 / 40, 0, -10 / 30])


def test_a_pair_without_a_difference_has_none_in_anything():
    found = style_differences([(MARKED, MARKED), ("", ""), ("- a\n- b", "- a\nb")])
    assert set(found) == {"length", "relative length", *STYLES}
    assert all((values[:2] == 0).all() for values in found.values())
    assert found["list items"][2] == pytest.approx((2 - 1) / (2 + 1))


def test_turning_the_pairs_round_turns_every_difference():
    pairs = [(MARKED, "short"), ("**a**", "a b c d")]
    there, back = style_differences(pairs), style_differences([(b, a) for a, b in pairs])
    assert all(there[name] == pytest.approx(-back[name]) for name in there)
