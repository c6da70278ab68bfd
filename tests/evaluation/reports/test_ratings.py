"""Ratings of rounds from their win rates."""

from __future__ import annotations

import math

import pytest

from evaluation.contracts import Interval
from evaluation.reports.ratings import Game, candidates_rated


def game(number: int, candidate: str, incumbent: str, rate: float, labels: int = 100_000) -> Game:
    return Game(number, candidate, incumbent, Interval(rate, rate, rate, 0.95, labels))


def estimates(*games: Game) -> dict[int, float]:
    return {number: found.estimate for number, found in candidates_rated(games).items()}


def test_ratings_add_up_along_the_line_of_incumbents() -> None:
    # with many labels a rating is the sum of the log-odds of the wins on the way
    found = estimates(game(1, "v1", "v0", 0.6), game(2, "v2", "v1", 0.6))
    step = math.log(0.6 / 0.4)
    assert found == {1: pytest.approx(step, abs=1e-3), 2: pytest.approx(2 * step, abs=1e-3)}


def test_a_candidate_is_rated_against_the_incumbent_that_it_met() -> None:
    # round 1 was refused, so round 2 met the first policy again
    found = estimates(game(1, "v1", "v0", 0.3), game(2, "v2", "v0", 0.6))
    assert found[1] == pytest.approx(math.log(0.3 / 0.7), abs=1e-3)
    assert found[2] == pytest.approx(math.log(0.6 / 0.4), abs=1e-3)


def test_fewer_labels_make_a_wider_interval() -> None:
    found = candidates_rated([game(1, "v1", "v0", 0.6, 1000), game(2, "v2", "v0", 0.6, 50)])
    assert found[2].high - found[2].low > found[1].high - found[1].low


def test_a_policy_judged_against_itself_says_nothing() -> None:
    assert estimates(game(1, "v0", "v0", 0.6)) == {1: 0.0}


def test_a_line_without_labels_has_no_ratings() -> None:
    assert candidates_rated([]) == {}
