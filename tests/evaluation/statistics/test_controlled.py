"""The win rate at equal length: against closed forms, a general optimiser and simulated truths."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit

from evaluation.contracts import LengthControl
from evaluation.statistics.controlled import FEWEST_LABELS, any_time_quantile, length_control
from evaluation.statistics.style import length_differences


def controlled(outcomes, differences, people=10, groups=None) -> LengthControl:
    n = len(outcomes)
    found = length_control(
        outcomes,
        differences,
        annotators=[i % people for i in range(n)],
        groups=groups or range(n),
    )
    assert found is not None
    return found


def simulated(rng, n, *, rate=0.6, ratio=1.0, slope=0.0, spread=0.3):
    """Outcomes and lengths: log-odds of a win logit(rate) + slope * log ratio of the lengths."""
    longer = math.log(ratio) + rng.normal(0, spread, n)
    lengths = 400 * np.stack([np.exp(longer / 2), np.exp(-longer / 2)], axis=1)
    won = rng.random(n) < expit(math.log(rate / (1 - rate)) + slope * longer)
    return won.astype(float), lengths


def test_without_any_difference_it_is_the_win_rate_by_jeffreys_prior():
    """p = (wins + ties / 2 + 1/2) / (n + 1); leaving label i out moves the log-odds by
    r_i / ((n - 1) p (1 - p)) with r_i = y_i - p + (1/2 - p) / n."""
    y = np.array([1.0] * 24 + [0.5] * 4 + [0.0] * 12)
    found = controlled(y, {"length": np.zeros(40)}, people=40)
    p = (26 + 0.5) / 41
    moved = (y - p + (0.5 - p) / 40) / (39 * p * (1 - p))
    jackknife = 39 / 40 * (moved**2).sum()
    least = (36 / 40) / (40 * p * (1 - p))  # the binomial variance less the ties
    reach = stats.t.ppf(0.975, 39) * math.sqrt(max(jackknife, least))
    log_odds = math.log(p / (1 - p))
    assert found.controlled.estimate == pytest.approx(p)
    assert found.controlled.low == pytest.approx(expit(log_odds - reach))
    assert found.controlled.high == pytest.approx(expit(log_odds + reach))
    assert (found.win_rate, found.labels, found.differences) == (0.65, 40, ())


def test_the_fit_is_where_a_general_optimiser_finds_it():
    """The maximum of log-likelihood + log det(information) / 2."""
    y, lengths = simulated(np.random.default_rng(1), 80, slope=2.0)
    y[:9] = 0.5
    differences = length_differences(lengths)
    x = np.column_stack([np.ones(80), *differences.values()])

    def loss(b):
        p = expit(x @ b)
        likelihood = (y * np.log(p) + (1 - y) * np.log(1 - p)).sum()
        return -likelihood - np.linalg.slogdet((x.T * (p * (1 - p))) @ x)[1] / 2

    best = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7}).x
    assert controlled(y, differences).controlled.estimate == pytest.approx(expit(best[0]), abs=1e-5)


@pytest.mark.parametrize("icc", [0.0, 0.1])
def test_the_interval_covers_the_rate_at_equal_length(icc):
    """For the population of annotators too: 150 rounds of 400 labels, the texts 15 % longer."""
    rng, hits = np.random.default_rng(2), 0
    for _ in range(150):
        _, lengths = simulated(rng, 400, ratio=1.15)
        own = rng.normal(0, math.sqrt(icc * 0.25), 12)[np.arange(400) % 12]
        odds = 3 * np.log(lengths[:, 0] / lengths[:, 1]) + 4 * own
        y = (rng.random(400) < expit(odds)).astype(float)
        found = controlled(y, length_differences(lengths), people=12).controlled
        hits += found.low <= 0.5 <= found.high
    assert 0.91 <= hits / 150 <= 1.0


def test_the_share_of_the_gain_that_is_left_is_covered():
    """Length adds log-odds 2 * log ratio: the truth comes from a large sample of the same world."""
    rng = np.random.default_rng(3)
    y, _ = simulated(rng, 400_000, rate=0.6, ratio=1.2, slope=2.0)
    truth, hits = 0.1 / (y.mean() - 0.5), 0
    for _ in range(150):
        y, lengths = simulated(rng, 400, rate=0.6, ratio=1.2, slope=2.0)
        found = controlled(y, length_differences(lengths)).share
        assert found is not None
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 150 <= 0.99


def test_lengths_that_decide_every_win_leave_a_finite_and_wide_interval():
    _, lengths = simulated(np.random.default_rng(4), 300, ratio=1.17)
    found = controlled((lengths[:, 0] > lengths[:, 1]).astype(float), length_differences(lengths))
    assert found.win_rate > 0.65
    assert found.controlled.low < 0.4 < 0.6 < found.controlled.high
    assert found.share is not None
    assert found.share.low < 0.0


def test_bounds_that_hold_at_all_looks_do():
    """z at 300 labels, by hand: n r = -2 log .05 + log(1 - 2 log .05) = 7.9363."""
    assert any_time_quantile(300, 10**6) == pytest.approx(
        math.sqrt(2 * 8.9363 / 7.9363 * math.log(math.sqrt(8.9363) / 0.05)), abs=1e-3
    )
    walks = np.random.default_rng(5).normal(size=(2000, 600)).cumsum(1)
    n = np.arange(1, 601)
    reach = np.array([any_time_quantile(i, 10**6) for i in range(1, 601)]) * np.sqrt(n)
    assert (np.abs(walks) > reach).any(1).mean() <= 0.05
    assert (np.abs(walks) > 1.96 * np.sqrt(n)).any(1).mean() > 0.3  # what one look would be worth


def test_few_annotators_widen_the_interval():
    y, lengths = simulated(np.random.default_rng(6), 200)
    differences = length_differences(lengths)
    few, many = (controlled(y, differences, people=k).controlled for k in (3, 40))
    assert few.high - few.low > 1.3 * (many.high - many.low)
    assert (few.n, many.n) == (3, 40)


def test_differences_that_say_the_same_count_once_and_rare_ones_not_at_all():
    y, lengths = simulated(np.random.default_rng(7), 100)
    length = length_differences(lengths)["length"]
    rare = np.zeros(100)
    rare[:9] = 1.0
    alone = controlled(y, {"length": length})
    found = controlled(y, {"length": length, "again": 2 * length, "rare": rare})
    assert found.controlled.estimate == pytest.approx(alone.controlled.estimate)
    assert found.differences == ("length", "again")


@pytest.mark.parametrize("cause", ["few labels", "one annotator", "one group", "one way"])
def test_what_cannot_be_told_is_not_told(cause):
    n = FEWEST_LABELS - (cause == "few labels")
    difference = np.full(n, 0.7) if cause == "one way" else np.linspace(-0.5, 0.5, n)
    people = [0] * n if cause == "one annotator" else [i % 5 for i in range(n)]
    groups = [0] * n if cause == "one group" else list(range(n))
    y = [float(i % 2) for i in range(n)]
    assert length_control(y, {"d": difference}, annotators=people, groups=groups) is None
