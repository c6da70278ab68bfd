"""Bets aimed at a decision; fractions are worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evaluation.statistics.betting import Aim, aimed_capital, hedged_e_process
from evaluation.statistics.sequences import e_process

AIM = Aim(level=0.05, labels=100)
# u = 0.75 * 0.05, z = 2.080278, phi(z) = 0.0458345: f = 0.0458345 / (0.01875 * 1 * 10)
FIRST = 0.244451


def test_the_first_bet_replicates_the_option_that_pays_at_the_barrier() -> None:
    won, lost = (aimed_capital(np.array([x]), aim=AIM, null=0.5, block=1)[0] for x in (1.0, 0.0))
    assert won == pytest.approx(1 + FIRST, abs=1e-5)
    assert lost == pytest.approx(1 - FIRST, abs=1e-5)


def test_the_second_bet_knows_the_capital_the_spread_and_the_labels_to_go() -> None:
    found = aimed_capital(np.array([1.0, 1.0]), aim=AIM, null=0.5, block=1)
    u = (1 + FIRST) * 0.75 * 0.05  # 0.046667; z = -inverse normal(0.0233335) = 1.989311
    density = np.exp(-(1.989311**2) / 2) / np.sqrt(2 * np.pi)
    second = density / (u / 2 * np.sqrt((1 + 1) / 2 * 99))
    assert found[1] / found[0] == pytest.approx(1 + second, abs=2e-5)


def test_ties_narrow_the_spread_and_so_raise_the_bet() -> None:
    tied = aimed_capital(np.array([0.5, 0.5, 0.5, 1.0]), aim=AIM, null=0.5, block=1)
    assert list(tied[:3]) == [1.0, 1.0, 1.0]
    # the running mean square is 1/4 (one unit to begin with, three ties): f doubles; 97 labels to go
    assert tied[3] == pytest.approx(1 + FIRST * 2 * np.sqrt(100 / 97), abs=1e-4)


def test_within_a_block_the_bet_does_not_change() -> None:
    found = aimed_capital(np.array([1.0, 0.0, 1.0]), aim=AIM, null=0.5, block=3)
    assert found == pytest.approx([(1 + FIRST) ** 2 * (1 - FIRST)], abs=1e-4)


def test_a_block_of_opposite_people_is_a_fair_game() -> None:
    """One prefers the candidate in 90 %, the other in 10 %: on average nobody does."""
    outcomes = list(itertools.product((1.0, 0.0), repeat=2))
    chances = [0.9 if a else 0.1 for a, _ in outcomes], [0.1 if b else 0.9 for _, b in outcomes]
    capital = [aimed_capital(np.array(x), aim=AIM, null=0.5, block=2)[0] for x in outcomes]
    assert np.dot(np.prod(chances, axis=0), capital) <= 1.0


def test_at_the_barrier_and_past_the_last_label_nothing_is_bet() -> None:
    reached = aimed_capital(np.ones(60), aim=AIM, null=0.5, block=1)
    assert reached[-1] >= 1 / (0.75 * AIM.level)
    assert reached[-1] == reached[-2]
    short = Aim(level=0.05, labels=4)
    past = aimed_capital(np.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0]), aim=short, null=0.5, block=1)
    assert past[4] == past[5] == past[3]


def test_a_null_above_even_pays_less_for_a_win() -> None:
    won = aimed_capital(np.array([1.0]), aim=AIM, null=0.6, block=1)[0]
    assert won == pytest.approx(1 + FIRST * (1 / 0.6 - 1), abs=1e-4)


def test_a_quarter_of_the_capital_stays_with_the_mixture() -> None:
    x = np.array([1.0, 1.0, 0.0, 1.0, 0.5, 1.0])
    aimed = aimed_capital(x, aim=AIM, null=0.5, block=2)
    mixture = e_process(x)[[1, 3, 5]]
    assert hedged_e_process(x, aim=AIM, block=2) == pytest.approx(0.75 * aimed + 0.25 * mixture)


def test_labels_of_an_unfinished_block_wait() -> None:
    x = np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    assert len(hedged_e_process(x, aim=AIM, block=2)) == 2
    assert len(hedged_e_process(x, aim=AIM)) == len(x)  # each label is read by itself
    assert len(hedged_e_process(x[:1], aim=AIM, block=2)) == 0


def share_shown(win_rate: float, labels: int, draws: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    aim = Aim(level=0.03, labels=labels)
    found = [
        hedged_e_process((rng.random(labels) < win_rate).astype(float), aim=aim).max() >= 1 / 0.03
        for _ in range(draws)
    ]
    return float(np.mean(found))


def test_looking_after_every_label_errs_at_most_at_the_level() -> None:
    assert share_shown(0.5, 120, 800, seed=3) <= 0.03 + 2 * np.sqrt(0.03 * 0.97 / 800)


def test_60_percent_are_shown_in_245_labels_with_power_80() -> None:
    assert share_shown(0.6, 245, 300, seed=4) >= 0.80 - 2 * np.sqrt(0.16 / 300)


@pytest.mark.parametrize(("level", "labels"), [(0.0, 10), (1.0, 10), (0.05, 0)])
def test_an_impossible_aim_is_refused(level: float, labels: int) -> None:
    with pytest.raises(ValueError, match="cannot aim"):
        Aim(level, labels)
