"""Labels to a decision, against hand calculations and against bets that are really made."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.planning import (
    MOST,
    fixed_sample_labels,
    labels_for_power,
    labels_to_go,
)


def test_the_limit_is_the_one_sided_test_that_looks_once() -> None:
    # z(0.05) + z(0.8) = 1.6449 + 0.8416; drift at 60 % is 0.2 / sqrt(1 - 0.04)
    assert fixed_sample_labels(0.6, level=0.05) == math.ceil((2.4865 / 0.204124) ** 2)


def test_ties_cost_labels() -> None:
    # with 40 % ties: mean 0.12, variance 0.6 - 0.0144
    drift = 0.12 / math.sqrt(0.6 - 0.0144)
    assert fixed_sample_labels(0.6, level=0.05, ties=0.4) == math.ceil((2.4865 / drift) ** 2)
    assert labels_for_power(0.6, level=0.05, ties=0.4) > labels_for_power(0.6, level=0.05)


@pytest.mark.parametrize(("effect", "level"), [(0.6, 0.03), (0.65, 0.003)])
def test_the_plan_has_about_the_power_that_it_says(effect: float, level: float) -> None:
    labels = labels_for_power(effect, level=level)
    rng = np.random.default_rng(8)
    aim = Aim(level, labels)
    shown = [
        hedged_e_process((rng.random(labels) < effect).astype(float), aim=aim).max() >= 1 / level
        for _ in range(300)
    ]
    assert 0.7 < np.mean(shown) < 0.9
    assert (
        fixed_sample_labels(effect, level=level)
        < labels
        < 1.45 * fixed_sample_labels(effect, level=level)
    )


@pytest.mark.parametrize("people", [None, 2, 3, 9])
def test_the_plan_is_the_first_passage_of_a_walk_with_drift(people: int | None) -> None:
    labels = labels_for_power(0.6, level=0.03, people=people, power=0.7)
    q = stats.norm.isf(0.75 * 0.03 / 2)
    if people:
        q = stats.t.isf(0.75 * 0.03 / 2, people - 1)
    drift = 0.2 / math.sqrt(1 - 0.04)

    def passed(count: int) -> float:
        reached = drift * math.sqrt(count)
        later = 2 * reached * q + stats.norm.logsf(q + reached)
        return float(stats.norm.sf(q - reached) + math.exp(later))

    assert passed(labels - 1) < 0.7 <= passed(labels)


def test_more_power_and_a_smaller_effect_take_more_labels() -> None:
    base = labels_for_power(0.6, level=0.03)
    assert labels_for_power(0.6, level=0.03, power=0.9) > base
    assert labels_for_power(0.57, level=0.03) > 2 * base * 0.95
    assert labels_for_power(0.6, level=0.001) > base


def test_what_is_left_to_the_barrier_is_walked_at_the_rate_so_far() -> None:
    # barrier z(0.015) * sqrt(400) * 0.5 = 21.701; 100 labels at 0.6 have gone 10 of it
    assert labels_to_go(0.6, 0.5, level=0.04, aimed=400, done=100) == math.ceil(11.701 / 0.1)
    assert labels_to_go(0.8, 0.5, level=0.04, aimed=400, done=100) == 0
    assert labels_to_go(0.5, 0.5, level=0.04, aimed=400, done=100) == MOST
    assert labels_to_go(0.4, 0.5, level=0.04, aimed=400, done=100) == MOST


@pytest.mark.parametrize(("effect", "ties"), [(0.5, 0.0), (1.0, 0.0), (0.6, 1.0)])
def test_effects_that_no_label_shows_are_refused(effect: float, ties: float) -> None:
    with pytest.raises(ValueError, match="no labels show"):
        labels_for_power(effect, level=0.05, ties=ties)
