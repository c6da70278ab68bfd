"""AUC of a score, its clustered interval and its bounds at any time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.discrimination import discrimination_interval, discrimination_sequence
from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.sequences import confidence_sequence


def drawn(rng: np.random.Generator, labels: int, *, area: float, won: float = 0.5) -> FloatArray:
    """[labels, 2]: a gap, drawn normal about a mean that gives `area`, and whether it was a win."""
    wins = rng.random(labels) < won
    shift = np.sqrt(2) * stats.norm.ppf(area)
    return np.stack([rng.normal(shift * wins, 1.0), wins], axis=1)


def test_the_area_is_that_of_the_rank_sum_and_the_interval_that_of_delong() -> None:
    gaps, wins = drawn(np.random.default_rng(3), 400, area=0.65).T
    gaps, won = np.round(gaps, 1), wins.astype(bool)  # with equal gaps
    found = discrimination_interval(gaps, won, clusterings=[range(400)])
    assert found is not None
    above, below = gaps[won], gaps[~won]
    rank_sum = stats.mannwhitneyu(above, below).statistic / (len(above) * len(below))
    assert found.estimate == pytest.approx(rank_sum)
    order = (np.sign(above[:, None] - below[None, :]) + 1) / 2
    variance = order.mean(1).var(ddof=1) / len(above) + order.mean(0).var(ddof=1) / len(below)
    assert found.high - found.estimate == pytest.approx(1.96 * variance**0.5, rel=0.01)


@pytest.mark.parametrize("won", [0.2, 0.55, 0.9])
def test_the_area_does_not_follow_the_share_of_wins(won: float) -> None:
    gaps, wins = drawn(np.random.default_rng(5), 20_000, area=0.6, won=won).T
    found = discrimination_interval(gaps, wins.astype(bool), clusterings=[range(20_000)])
    assert found is not None
    assert found.estimate == pytest.approx(0.6, abs=0.015)


def test_the_widest_clustering_counts() -> None:
    gaps, wins = drawn(np.random.default_rng(6), 60, area=0.6).T
    won, few = wins.astype(bool), [i % 3 for i in range(60)]
    both = discrimination_interval(gaps, won, clusterings=[few, range(60)])
    each = [discrimination_interval(gaps, won, clusterings=[c]) for c in (few, range(60))]
    assert both is not None
    assert both.high - both.low == max(e.high - e.low for e in each if e)
    assert both.n == 3


def test_the_interval_covers_with_annotators_of_different_mind() -> None:
    """Six annotators whose agreement with the scores differs; the plain interval covers too seldom."""
    rng = np.random.default_rng(7)
    covered = {"annotators": 0, "labels": 0}
    for _ in range(400):
        rater = rng.integers(0, 6, 300)
        gaps, wins = drawn(rng, 300, area=0.6).T
        gaps = gaps + wins * rng.normal(0, 0.5, 6)[rater]
        for name, clusters in (("annotators", rater.tolist()), ("labels", list(range(300)))):
            found = discrimination_interval(gaps, wins.astype(bool), clusterings=[clusters])
            assert found is not None
            covered[name] += found.low <= 0.594 <= found.high  # the mean over annotators
    assert covered["annotators"] >= 0.92 * 400
    assert covered["labels"] < 0.85 * 400


def test_bounds_at_any_time_are_those_of_wins_and_losses_matched_in_order() -> None:
    gaps = np.array([3.0, 1.0, 2.0, 2.0, 5.0, 0.0, 9.0])
    won = np.array(
        [True, True, False, False, True, False, True]
    )  # 3-2, 1-2, 5-0; the last is alone
    found = discrimination_sequence(gaps, won)
    assert found is not None
    assert found.estimate == pytest.approx((3 + 1 + 3 + 3) / 12)
    low, high = confidence_sequence([1.0, 0.0, 1.0])[-1]
    assert (found.low, found.high, found.n) == (low, high, 3)


def test_bounds_at_any_time_seldom_exclude_the_truth_at_any_look() -> None:
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(60):
        gaps, wins = drawn(rng, 400, area=0.6).T
        looks = [
            discrimination_sequence(gaps[:n], wins[:n].astype(bool)) for n in range(40, 401, 40)
        ]
        wrong += any(found is not None and not found.low <= 0.6 <= found.high for found in looks)
    assert wrong <= 0.05 * 60


@pytest.mark.parametrize("won", [[True, True], [False, False]])
def test_one_kind_of_label_alone_has_no_order(won: list[bool]) -> None:
    gaps = np.array([1.0, 2.0])
    assert discrimination_interval(gaps, np.array(won), clusterings=[range(2)]) is None
    assert discrimination_sequence(gaps, np.array(won)) is None


def test_one_cluster_has_no_interval() -> None:
    gaps, won = np.array([1.0, 2.0]), np.array([True, False])
    assert discrimination_interval(gaps, won, clusterings=[range(2), ["ada", "ada"]]) is None
