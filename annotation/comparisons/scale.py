"""The seven-step scale, turned between the order shown to a rater and the order of the slots."""

from __future__ import annotations

from collections.abc import Sequence

LOWEST, TIE, HIGHEST = 1, 4, 7


def value_turned(value: int, shown_order: Sequence[int]) -> int:
    """Between shown and slot order, either way: the same when slot 1 is on the left, else 8 - value."""
    if not LOWEST <= value <= HIGHEST:
        raise ValueError(f"{value} is not on the scale of {LOWEST} to {HIGHEST}.")
    if sorted(shown_order) != [1, 2]:
        raise ValueError(f"The scale compares two slots, but {list(shown_order)} were shown.")
    return value if shown_order[0] == 1 else LOWEST + HIGHEST - value


def direction(value: int) -> int:
    """-1: slot 1 is better, 0: tie, 1: slot 2 is better."""
    return (value > TIE) - (value < TIE)


def answer_right(value: int, known: int, tolerance: int | None) -> bool:
    """Whether `value` answers a gold item whose answer is `known`: within `tolerance` steps of it, or
    without one anywhere on the same side. Both are in the same order."""
    if tolerance is None:
        return direction(value) == direction(known)
    return abs(value - known) <= tolerance


def preference(value: int) -> float:
    """The probability that slot 1 is better, as trained on: a tie is 1/2."""
    return (1 - direction(value)) / 2
