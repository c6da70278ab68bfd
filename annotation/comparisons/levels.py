"""The levels of ranked answers: turned between the order shown and the order of the slots, and taken apart.

The first answer has level 1; answers of one level are a tie.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from annotation.campaigns.models import PAIR

from .scale import TIE

BETTER, WORSE = 2, 6  # a ranking tells the side and no strength: the middle step of the scale


class RankedPair(NamedTuple):
    """Two slots (counted from 0) of a ranking, their levels, and the step of the scale 1..7 that says so."""

    first: int
    second: int
    levels: tuple[int, int]
    value: int


def levels_dense(levels: Sequence[float]) -> list[int]:
    """From 1 on and without gaps: 1, 1, 3 (two first, then a third) is 1, 1, 2."""
    steps = {level: step for step, level in enumerate(sorted(set(levels)), 1)}
    return [steps[level] for level in levels]


def levels_turned(levels: Sequence[int], shown_order: Sequence[int]) -> list[int]:
    """From the order shown to that of the slots."""
    by_slot = dict(zip(shown_order, levels, strict=True))
    return [by_slot[slot] for slot in sorted(by_slot)]


def levels_shown(levels: Sequence[int], shown_order: Sequence[int]) -> list[int]:
    """From the order of the slots to the one shown."""
    return [levels[slot - 1] for slot in shown_order]


def ranking_pairs(levels: Sequence[int]) -> Iterator[RankedPair]:
    """Every two answers, K (K - 1) / 2 of them, in slot order."""
    for a, b in itertools.combinations(range(len(levels)), 2):
        one, two = levels[a], levels[b]
        yield RankedPair(a, b, (one, two), TIE if one == two else BETTER if one < two else WORSE)


def letters(count: int) -> list[str]:
    """What the answers are called on the page, in the order shown: A, B, C, ..."""
    return [chr(ord("A") + place) for place in range(count)]


def order_says(ranking: Sequence[int]) -> str:
    """The order in letters as shown: "B, A = C" for levels 2, 1, 2."""
    named = sorted(zip(ranking, letters(len(ranking)), strict=True))
    groups = itertools.groupby(named, key=lambda pair: pair[0])
    return ", ".join(" = ".join(letter for _, letter in group) for _, group in groups)


def sides_of(shown_order: Sequence[int]) -> Mapping[str, int]:
    """What a flag calls each answer -> its slot: left and right of a pair, 1, 2, 3, ... of more."""
    names = ("left", "right") if len(shown_order) == PAIR else map(str, itertools.count(1))
    return dict(zip(names, shown_order, strict=False))
