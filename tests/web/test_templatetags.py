from __future__ import annotations

import math

import pytest
from django.template import TemplateSyntaxError

from web.templatetags.web import duration, icon, interval_mark, percent, short_id, status


def test_a_status_speaks_by_word_and_sign():
    html = status("good", "Promoted <b>")
    assert "<svg" in html
    assert "Promoted &lt;b&gt;" in html


def test_an_unknown_icon_names_the_known_ones():
    with pytest.raises(TemplateSyntaxError, match="attention"):
        icon("rocket")


def test_the_interval_is_drawn_to_scale_and_read_aloud():
    html = interval_mark(0.25, 0.5, 0.75, threshold=0.5, width=200, says="50 % (25-75 %)")
    assert 'class="interval__bar" x1="50.0" x2="150.0"' in html
    assert 'class="interval__threshold" x1="100.0"' in html
    assert 'cx="100.0"' in html
    assert 'aria-label="50 % (25-75 %)"' in html


def test_an_interval_beyond_its_axis_ends_at_the_edge():
    assert 'x1="0.0" x2="120.0"' in interval_mark(-3.0, 0.5, 9.0)


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_what_was_not_measured_is_not_drawn(bad):
    assert "not measured" in interval_mark(bad, 0.5, 0.6)


def test_a_short_id_copies_the_whole():
    html = short_id("0123456789abcdef")
    assert 'data-copy="0123456789abcdef"' in html
    assert ">01234567<" in html


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.44, "0.4 s"),
        (42, "42 s"),
        (200, "3 min 20 s"),
        (120, "2 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_have_at_most_two_units(seconds, words):
    assert duration(seconds) == words


def test_shares_are_read_as_percentages():
    assert [percent(share) for share in (0.0, 0.25, 1.0)] == ["0%", "25%", "100%"]
