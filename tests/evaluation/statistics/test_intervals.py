import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.intervals import (
    cluster_bootstrap_interval,
    cluster_mean_interval,
    cluster_ratio_interval,
    cluster_share_interval,
    independent_difference,
    two_way_share_interval,
    weighted_share_interval,
    wilson_interval,
)


def test_wilson_bounds_solve_the_score_equation():
    found = wilson_interval(58, 100)
    for bound in (found.low, found.high):  # |p_hat - p| = z sqrt(p (1 - p) / n) at both ends
        z = abs(0.58 - bound) / math.sqrt(bound * (1 - bound) / 100)
        assert z == pytest.approx(1.959964, abs=1e-6)


def test_wilson_of_no_success_starts_at_zero_and_is_not_empty():
    found = wilson_interval(0, 10)
    assert found.low == 0.0
    assert found.high == pytest.approx(3.8415 / 13.8415, abs=1e-4)  # z^2 / (n + z^2)


def test_a_single_label_has_an_interval_of_almost_everything():
    found = wilson_interval(1, 1)
    assert (found.estimate, found.n) == (1.0, 1)
    assert found.low == pytest.approx(1 / (1 + 3.8415), abs=1e-4)  # 1 / (1 + z^2)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (5, 4), (-1, 4)])
def test_a_share_that_cannot_be_is_refused(successes, n):
    with pytest.raises(ValueError, match="a share needs"):
        wilson_interval(successes, n)


def test_without_clusters_the_interval_is_students():
    found = cluster_mean_interval([1.0, 2.0, 3.0, 4.0], range(4))  # sd 1.290994, t(3) 3.182446
    assert found.estimate == 2.5
    assert found.high - 2.5 == pytest.approx(3.182446 * 1.290994 / 2, abs=1e-5)


def test_doubling_every_value_inside_its_cluster_adds_no_certainty():
    values, groups = [1.0, 2.0, 3.0, 4.0], ["a", "b", "c", "d"]
    single = cluster_mean_interval(values, groups)
    doubled = cluster_mean_interval(values * 2, groups * 2)
    assert doubled.low == pytest.approx(single.low)
    assert doubled.n == 4


def test_identical_differences_of_zero_give_an_interval_of_exactly_zero():
    found = cluster_mean_interval([0.0] * 6, [1, 1, 2, 2, 3, 3])
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def mean_of(y, rows) -> float:
    return float(y[rows].mean())


def test_cluster_intervals_cover_clustered_means():
    rng = np.random.default_rng(5)
    covered = {"t": 0, "bootstrap": 0}
    groups = np.repeat(np.arange(30), 8)
    for trial in range(200):
        y = rng.normal(size=30)[groups] * 0.5 + rng.normal(size=240)
        means = cluster_mean_interval(y, groups.tolist())
        boot = cluster_bootstrap_interval(
            partial(mean_of, y), groups.tolist(), seed=trial, resamples=200
        )
        covered["t"] += means.low <= 0 <= means.high
        covered["bootstrap"] += boot.low <= 0 <= boot.high
    assert 0.91 <= covered["t"] / 200 <= 0.985
    assert 0.88 <= covered["bootstrap"] / 200 <= 0.985


def test_bootstrap_repeats_with_its_seed_and_refuses_one_cluster():
    y = np.arange(10.0)
    first, again, other = (
        cluster_bootstrap_interval(lambda r: float(np.median(y[r])), range(10), seed=s)
        for s in (1, 1, 2)
    )
    assert first == again
    assert first != other or first.estimate == other.estimate
    with pytest.raises(ValueError, match="at least 2 clusters"):
        cluster_mean_interval([1.0, 2.0], ["a", "a"])


def test_a_statistic_that_is_mostly_undefined_is_an_error():
    with pytest.raises(ValueError, match="undefined on too many"):
        cluster_bootstrap_interval(lambda rows: float("nan"), range(5), seed=0, resamples=20)


def test_a_share_of_independent_values_is_nearly_wilson_and_stays_inside_its_range():
    values = [1.0] * 58 + [0.0] * 42
    found = cluster_share_interval(values, range(100))
    wilson = wilson_interval(58, 100)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=3e-3)
    certain = cluster_share_interval([1.0] * 10, range(10))
    assert certain.high == 1.0
    assert certain.low == pytest.approx(wilson_interval(10, 10).low)


def test_clustered_answers_widen_a_share():
    values = ([1.0] * 5 + [0.0] * 5) * 6
    groups = [i // 5 for i in range(60)]  # each group answers as one
    spread = cluster_share_interval(values, groups)
    alone = cluster_share_interval(values, range(60))
    assert spread.high - spread.low > 1.9 * (alone.high - alone.low)


def test_two_kinds_of_clusters_add_and_their_crossings_are_not_counted_twice():
    """Values 1 1 0 0 1 0 by people a a b b c c and prompts p q p q p q; the mean is 1/2.

    Residuals by person 1, -1, 0: 3/2 * 2 / 36. By prompt (1/2 - 1/2 + 1/2 = 1/2, -1/2): 2/1 * 1/2 / 36.
    By crossing six of 1/2: 6/5 * 6/4 / 36.
    """
    found = two_way_share_interval([1, 1, 0, 0, 1, 0], list("aabbcc"), list("pqpqpq"))
    variance = (3 + 1 - 1.8) / 36
    spread = stats.t.ppf(0.975, 1) * math.sqrt(variance)
    z = stats.norm.ppf(0.975)
    size = z**2 * 0.25 / spread**2
    centre, scale = 0.5 + z**2 / (2 * size), 1 + z**2 / size
    reach = z * math.sqrt(0.25 / size + z**2 / (4 * size**2))
    assert found.low == pytest.approx((centre - reach) / scale)
    assert found.high == pytest.approx((centre + reach) / scale)
    assert (found.estimate, found.n, found.method) == (0.5, 2, "two-way cluster Wilson")


def test_with_a_prompt_for_each_label_only_people_are_clusters():
    values, people = [1, 0, 1, 1, 0, 1, 1, 1], list("aabbccdd")
    found = two_way_share_interval(values, people, list(range(8)), level=0.9)
    plain = cluster_share_interval(values, people, level=0.9)
    assert [found.low, found.high] == pytest.approx([plain.low, plain.high])


def test_where_the_crossings_take_everything_the_larger_variance_stays():
    # by person and by prompt nothing varies, within them everything does
    found = two_way_share_interval([1, 0, 0, 1], list("aabb"), list("pqpq"))
    assert [found.low, found.high] == pytest.approx([0.0946, 0.9054], abs=1e-3)


def test_one_cluster_of_a_kind_has_no_interval():
    with pytest.raises(ValueError, match="2 clusters of each kind, got 1"):
        two_way_share_interval([1, 0], ["a", "a"], ["p", "q"])


def test_a_ratio_from_sums_is_the_bootstrap_of_the_rows():
    rng = np.random.default_rng(8)
    top, bottom, groups = rng.random(90), rng.random(90) + 0.5, (np.arange(90) % 31).tolist()
    rows = cluster_bootstrap_interval(
        lambda r: float(top[r].mean() / bottom[r].mean()), groups, seed=9, resamples=300
    )
    sums = cluster_ratio_interval(top, bottom, groups, seed=9, resamples=300)
    assert (sums.estimate, sums.low, sums.high, sums.n) == pytest.approx(
        (rows.estimate, rows.low, rows.high, 31)
    )


def test_a_ratio_over_nothing_is_an_error():
    with pytest.raises(ValueError, match="undefined on too many"):
        cluster_ratio_interval(np.ones(6), np.zeros(6), range(6), seed=0)
    with pytest.raises(ValueError, match="at least 2 clusters"):
        cluster_ratio_interval(np.ones(6), np.ones(6), [1] * 6, seed=0)


def test_the_bootstrap_draws_whole_clusters_wherever_their_rows_stand():
    """Every draw holds each cluster's rows together, as often as the cluster was drawn."""
    groups = [0, 1, 2, 1, 0, 2, 2]
    seen: list[list[int]] = []

    def remember(rows) -> float:
        seen.append(np.bincount(rows, minlength=7).tolist())
        return 0.0

    cluster_bootstrap_interval(remember, groups, seed=3, resamples=40)
    for times in seen:
        assert all(times[i] == times[groups.index(g)] for i, g in enumerate(groups))
        assert sum(times[groups.index(g)] for g in (0, 1, 2)) == 3


def test_weighted_over_one_stratum_is_the_clustered_share():
    values, groups = [1.0, 0.0, 0.5, 1.0, 0.0], ["a", "a", "b", "c", "d"]
    plain = cluster_share_interval(values, groups)
    found = weighted_share_interval(values, ["s"] * 5, groups, weights={"s": 1.0})
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (plain.estimate, plain.low, plain.high)
    )


def test_weighted_intervals_cover_the_mean_of_unequal_strata():
    rng, inside, draws = np.random.default_rng(3), 0, 400
    truth = {"large": 0.8, "small": 0.4}
    strata = ["large"] * 80 + ["small"] * 20
    for _ in range(draws):
        values = [float(rng.random() < truth[s]) for s in strata]
        found = weighted_share_interval(
            values, strata, range(100), weights={"large": 0.5, "small": 0.5}
        )
        inside += found.low <= 0.6 <= found.high
    assert 0.92 <= inside / draws <= 0.98


def test_a_stratum_of_one_cluster_has_no_interval():
    with pytest.raises(ValueError, match="2 clusters in 'b', got 1"):
        weighted_share_interval([1, 0, 1], list("aab"), range(3), weights={"a": 0.5, "b": 0.5})


def test_the_difference_of_independent_estimates_is_newcombes():
    """Newcombe 1998, table II (a): 56/70 against 48/80, method 10: 0.2000 (0.0524 to 0.3339)."""
    found = independent_difference(wilson_interval(56, 70), wilson_interval(48, 80))
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
