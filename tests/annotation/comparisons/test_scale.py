"""Turning the sides of the scale, for every value and both orders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.comparisons.scale import direction, preference, value_turned

values = st.integers(1, 7)
orders = st.sampled_from([[1, 2], [2, 1]])


@given(values, orders)
def test_turning_twice_gives_the_value_back(value, order):
    assert value_turned(value_turned(value, order), order) == value


@given(values, orders)
def test_the_slot_that_was_preferred_on_screen_is_the_slot_that_is_preferred_when_stored(
    value, order
):
    left_slot, right_slot = order
    preferred_on_screen = left_slot if value < 4 else right_slot if value > 4 else None
    stored = value_turned(value, order)
    assert {-1: 1, 0: None, 1: 2}[direction(stored)] == preferred_on_screen


@given(values, orders)
def test_the_strength_of_a_preference_does_not_depend_on_the_sides(value, order):
    assert abs(value_turned(value, order) - 4) == abs(value - 4)


@given(values)
def test_both_orders_of_one_opinion_add_up_to_certainty(value):
    assert preference(value_turned(value, [1, 2])) + preference(value_turned(value, [2, 1])) == 1


@pytest.mark.parametrize("value", [0, 8, -1])
def test_a_value_off_the_scale_is_refused(value):
    with pytest.raises(ValueError, match="not on the scale"):
        value_turned(value, [1, 2])
