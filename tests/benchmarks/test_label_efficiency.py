"""Labels that a strategy needs, and which becomes the default: on curves whose answer is plain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.label_efficiency import (
    BUDGETS,
    default_strategy,
    efficiencies,
    efficiency,
    labels_needed,
    table,
)

RANDOM = np.array([[0.5, 0.6, 0.7], [0.5, 0.62, 0.72], [0.5, 0.58, 0.68]])


def test_labels_are_read_off_the_straight_line_between_budgets():
    assert BUDGETS == (200, 400, 600)
    assert labels_needed((0.5, 0.6, 0.7), 0.65) == pytest.approx(500)
    assert labels_needed((0.5, 0.7, 0.6), 0.6) == pytest.approx(300)
    assert labels_needed((0.8, 0.7, 0.6), 0.7) == 200
    assert math.isinf(labels_needed((0.5, 0.6, 0.7), 0.71))


def test_random_needs_its_own_labels_and_gains_nothing():
    found = efficiency("random", RANDOM, RANDOM)
    assert found.labels == pytest.approx((600, 600, 600))
    assert found.gain == pytest.approx((0.0, 0.0, 0.0))
    assert not found.fewer


def test_a_strategy_that_is_better_on_every_seed_surely_needs_fewer():
    better = RANDOM + np.array([0.0, 0.1, 0.1])
    found = efficiency("disagreement", better, RANDOM)
    assert found.labels == pytest.approx((400, 400, 400))
    assert found.gain == pytest.approx((0.1, 0.1, 0.1))
    assert found.fewer
    worse = efficiency("double_thompson", RANDOM - 0.1, RANDOM)
    assert all(map(math.isinf, worse.labels))
    assert default_strategy([found, worse]) == "disagreement"


def test_the_gain_has_the_interval_of_students_t():
    gained = RANDOM + np.array([[0.0, 0.0, 0.01], [0.0, 0.0, 0.02], [0.0, 0.0, 0.06]])
    found = efficiency("disagreement", gained, RANDOM)
    half = 4.302653 * np.std([0.01, 0.02, 0.06], ddof=1) / math.sqrt(3)  # t of 2 at 0.975, by table
    assert found.gain == pytest.approx((0.03, 0.03 - half, 0.03 + half))


def test_where_seeds_differ_too_much_random_stays_the_default():
    mixed = RANDOM + np.array([[0.0, 0.0, 0.1], [0.0, 0.0, 0.0], [0.0, 0.0, -0.05]])
    assert default_strategy([efficiency("disagreement", mixed, RANDOM)]) == "random"


def test_only_seeds_that_every_strategy_has_are_compared():
    seeds = {
        str(501 + i): {
            "random": {"accuracies": list(row)},
            "disagreement": {"accuracies": list(row)},
        }
        for i, row in enumerate(RANDOM)
    }
    del seeds["503"]["disagreement"]
    found = efficiencies(seeds)
    assert [(one.strategy, one.seeds) for one in found] == [("random", 2), ("disagreement", 2)]
    assert "default over 2 seeds: random" in table(found)
    assert efficiencies({"501": seeds["501"]}) == []
