import math

import numpy as np
import pytest

from evaluation.statistics import sequences
from evaluation.statistics.sequences import (
    confidence_sequence,
    e_process,
)


def redraws(win_rate: float, ties: float, labels: int, count: int, seed: int):
    """`count` label streams: a tie with probability `ties`, else a win with `win_rate`."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        wins = (rng.random(labels) < win_rate).astype(float)
        yield np.where(rng.random(labels) < ties, 0.5, wins)


def test_e_values_are_the_mean_capital_of_the_bettors():
    # after a win, a tie and a loss a bettor of fraction f holds (1 + f) * 1 * (1 - f)
    found = e_process([1.0, 0.5, 0.0])
    f = sequences.FRACTIONS
    assert found[0] == pytest.approx(np.mean(1 + f))
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(np.mean(1 - f**2))


def test_e_values_follow_the_betting_rule_at_another_null():
    f = sequences.FRACTIONS  # outcome 1 against 0.2 pays 1 + f * (1 - 0.2) / 0.2
    assert e_process([1.0], null=0.2)[0] == pytest.approx(np.mean(1 + 4 * f))


@pytest.mark.parametrize("ties", [0.0, 0.3])
def test_looking_after_every_label_errs_at_most_at_the_nominal_rate(ties):
    runs = [e_process(x).max() >= 20 for x in redraws(0.5, ties, 600, 600, seed=3)]
    assert np.mean(runs) <= 0.05
    worse = [e_process(1 - x).max() >= 20 for x in redraws(0.5, ties, 600, 600, seed=4)]
    assert np.mean(worse) <= 0.05


@pytest.mark.parametrize(("win_rate", "labels"), [(0.60, 400), (0.55, 1500)])
def test_power_is_what_an_always_valid_test_can_have(win_rate, labels):
    runs = [e_process(x).max() >= 20 for x in redraws(win_rate, 0.0, labels, 150, seed=6)]
    assert np.mean(runs) >= 0.80


@pytest.mark.parametrize("win_rate", [0.5, 0.62])
def test_the_confidence_sequence_holds_the_mean_at_all_times(win_rate):
    missed = 0
    for x in redraws(win_rate, 0.2, 250, 120, seed=8):
        mean = 0.2 * 0.5 + 0.8 * win_rate
        bounds = confidence_sequence(x, grid=100)
        missed += bool(((bounds[:, 0] > mean) | (bounds[:, 1] < mean)).any())
    assert missed / 120 <= 0.05


def test_the_confidence_sequence_narrows_and_never_widens():
    bounds = confidence_sequence(next(redraws(0.6, 0.1, 800, 1, seed=2)))
    assert (np.diff(bounds[:, 0]) >= 0).all()
    assert (np.diff(bounds[:, 1]) <= 0).all()
    assert bounds[0, 1] - bounds[0, 0] > 0.98
    assert bounds[-1, 1] - bounds[-1, 0] < 0.15


def test_bounds_are_numbers_also_where_no_mean_is_left():
    x = [1.0] * 40 + [0.0] * 400 + [1.0] * 4000  # no one mean explains all of it
    bounds = confidence_sequence(x, level=0.5, grid=20)
    assert bounds.dtype == np.float64
    assert np.isfinite(bounds).all()
    assert (bounds[:, 0] < bounds[:, 1]).all()


def test_all_ties_are_no_evidence():
    assert e_process([0.5] * 200) == pytest.approx(np.ones(200))


def test_overwhelming_evidence_stays_finite():
    assert math.isfinite(e_process([1.0] * 5000)[-1])


@pytest.mark.parametrize("outcomes", [[], [1.2], [-0.1]])
def test_outcomes_outside_their_range_are_refused(outcomes):
    with pytest.raises(ValueError):
        e_process(outcomes)
