"""Error control over the rounds of a line; levels are worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.policy.online import e_lond_level, error_cost, error_left, error_level

FIRST = 6 / math.pi**2


def test_the_first_test_stakes_the_largest_term_of_the_series() -> None:
    assert error_level(0.0, 0, 0.05) == pytest.approx(0.05 * FIRST)


def test_what_is_spent_lowers_the_level_and_a_second_discovery_raises_it() -> None:
    # half of alpha left: 0.5^2 / (0.5 + pi^2/6 - 1)
    assert error_level(0.025, 0, 0.05) == pytest.approx(0.05 * 0.25 / (math.pi**2 / 6 - 0.5))
    assert error_level(0.025, 1, 0.05) == error_level(0.025, 0, 0.05)  # the first earns nothing
    # three discoveries: 2.5 alpha left, of which 1.5 lie beyond alpha
    assert error_level(0.025, 3, 0.05) == pytest.approx(0.05 * (FIRST + 0.15))


def test_an_undecided_test_costs_what_its_evidence_lost() -> None:
    assert error_cost(0.03, 0.0, discovered=False) == 0.03
    assert error_cost(0.03, 0.4, discovered=False) == pytest.approx(0.018)
    assert error_cost(0.03, 7.0, discovered=False) == 0.0  # no more than the stake comes back
    assert error_cost(0.03, 50.0, discovered=True) == 0.03


def test_failed_tests_never_cost_more_than_alpha() -> None:
    spent, levels = 0.0, []
    for _ in range(2000):
        levels.append(error_level(spent, 0, 0.05))
        spent += error_cost(levels[-1], 0.0, discovered=False)
    assert sum(levels) == pytest.approx(spent)
    assert spent <= 0.05 + 2000 * 1e-9
    assert levels == sorted(levels, reverse=True)


def test_with_discoveries_the_cost_stays_within_alpha_for_each() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        spent, found = 0.0, 0
        for _ in range(40):
            level = error_level(spent, found, 0.05)
            discovered = bool(rng.random() < 0.4)
            spent += error_cost(level, float(rng.exponential(0.5)), discovered=discovered)
            found += discovered
            assert spent <= 0.05 * max(1, found) + 1e-6


def test_a_null_line_is_wrong_at_most_with_probability_alpha() -> None:
    """A fair game stopped at 1/level or at its end: discovered with probability at most the cost."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(2000):
        spent = 0.0
        for _ in range(10):
            level = error_level(spent, 0, 0.2)
            # one bet of everything: 1/level with probability level, else a coin between 0 and ruin
            won = rng.random() < level
            spent += error_cost(level, 0.0, discovered=won)
            if won:
                wrong += 1
                break
    assert wrong / 2000 <= 0.2 + 2 * math.sqrt(0.16 / 2000)


def test_a_line_that_has_spent_everything_asks_for_overwhelming_evidence() -> None:
    assert error_left(0.06, 1, 0.05) == 0.0
    assert error_left(0.06, 2, 0.05) == pytest.approx(0.04)
    assert error_level(0.06, 1, 0.05) == 1e-9


@pytest.mark.parametrize(("spent", "discoveries"), [(-0.1, 0), (math.nan, 0), (0.0, -1)])
def test_impossible_accounts_are_refused(spent: float, discoveries: int) -> None:
    with pytest.raises(ValueError, match="cannot have been spent"):
        error_level(spent, discoveries, 0.05)


def test_levels_of_old_records_sum_to_alpha_and_grow_with_discoveries() -> None:
    levels = [e_lond_level(t, 0, 0.05) for t in range(1, 2001)]
    assert sum(levels) <= 0.05
    assert e_lond_level(3, 2, 0.05) == pytest.approx(3 * e_lond_level(3, 0, 0.05))
    with pytest.raises(ValueError, match="cannot follow"):
        e_lond_level(2, 2, 0.05)
