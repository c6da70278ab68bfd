"""Ratings of rounds from their win rates."""

from __future__ import annotations

import math

import pytest

from evaluation.contracts import Interval, RoundSummary
from evaluation.reports.ratings import rounds_rate


def summary(number: int, rate: float | None, labels: int = 100_000) -> RoundSummary:
    found = None if rate is None else Interval(rate, rate, rate, 0.95, labels)
    return RoundSummary(number, None, "CLOSED", win_rate=found)


def ratings(
    summaries: list[RoundSummary], pairings: dict[int, tuple[str, str]]
) -> list[float | None]:
    rated = rounds_rate(summaries, pairings)
    return [s.rating.estimate if s.rating else None for s in rated]


def test_ratings_add_up_along_the_line_of_incumbents() -> None:
    # with many labels a rating is the sum of the log-odds of the wins on the way
    found = ratings([summary(1, 0.6), summary(2, 0.6)], {1: ("v1", "v0"), 2: ("v2", "v1")})
    step = math.log(0.6 / 0.4)
    assert found == [pytest.approx(step, abs=1e-3), pytest.approx(2 * step, abs=1e-3)]


def test_a_candidate_is_rated_against_the_incumbent_that_it_met() -> None:
    # round 1 was refused, so round 2 met the first policy again
    found = ratings([summary(1, 0.3), summary(2, 0.6)], {1: ("v1", "v0"), 2: ("v2", "v0")})
    assert found[0] == pytest.approx(math.log(0.3 / 0.7), abs=1e-3)
    assert found[1] == pytest.approx(math.log(0.6 / 0.4), abs=1e-3)


def test_fewer_labels_make_a_wider_interval() -> None:
    pairings = {1: ("v1", "v0"), 2: ("v2", "v0")}
    many, few = rounds_rate([summary(1, 0.6, 1000), summary(2, 0.6, 50)], pairings)
    assert many.rating is not None
    assert few.rating is not None
    assert few.rating.high - few.rating.low > many.rating.high - many.rating.low


def test_rounds_without_labels_have_no_rating() -> None:
    assert ratings([summary(1, None)], {1: ("v1", "v0")}) == [None]
    assert ratings([summary(1, 0.6)], {}) == [None]
