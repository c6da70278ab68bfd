from itertools import combinations

import numpy as np
import pytest

from evaluation.statistics.agreement import (
    krippendorff_alpha,
    krippendorff_alpha_interval,
    pairwise_agreement,
    position_bias,
)

N = float("nan")
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example with missing data
MISSING = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]
# the same paper, two observers, nominal: a a b b d c c c e d d a / b a b b b c c c e d d d
TWO = [[1, 1, 2, 2, 4, 3, 3, 3, 5, 4, 4, 1], [2, 1, 2, 2, 2, 3, 3, 3, 5, 4, 4, 4]]


def alpha_by_pairs(matrix, difference):
    """1 - D_o / D_e from the definition, over explicit pairs of values."""
    units = [[v for v in column if v == v] for column in np.asarray(matrix).T.tolist()]
    units = [u for u in units if len(u) >= 2]
    values = [v for u in units for v in u]
    observed = sum(
        2 * sum(difference(a, b) for a, b in combinations(u, 2)) / (len(u) - 1) for u in units
    )
    expected = 2 * sum(difference(a, b) for a, b in combinations(values, 2)) / (len(values) - 1)
    return 1 - observed / expected


@pytest.mark.parametrize(
    ("metric", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_is_the_published_one_with_missing_data(metric, published):
    assert krippendorff_alpha(MISSING, metric=metric) == pytest.approx(published, abs=5e-4)


def test_alpha_is_the_published_one_for_two_observers():
    assert krippendorff_alpha(TWO) == pytest.approx(0.692, abs=5e-4)


def test_alpha_equals_its_definition_over_pairs():
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 8, (5, 40)).astype(float)
    matrix[rng.random((5, 40)) < 0.4] = N
    nominal = alpha_by_pairs(matrix, lambda a, b: float(a != b))
    interval = alpha_by_pairs(matrix, lambda a, b: (a - b) ** 2)
    assert krippendorff_alpha(matrix) == pytest.approx(nominal)
    assert krippendorff_alpha(matrix, metric="interval") == pytest.approx(interval)


def test_alpha_of_balanced_binary_labels_is_about_twice_agreement_less_one():
    rng = np.random.default_rng(1)
    first = rng.integers(0, 2, 20_000)
    second = np.where(rng.random(20_000) < 0.657, first, 1 - first)
    assert krippendorff_alpha([first, second]) == pytest.approx(2 * 0.657 - 1, abs=0.02)


def test_alpha_without_pairs_or_variation_is_not_a_number():
    assert np.isnan(krippendorff_alpha([[1, N], [N, 2]]))
    assert np.isnan(krippendorff_alpha([[1, 1], [1, 1]]))


def test_alpha_interval_holds_the_estimate_and_repeats():
    first = krippendorff_alpha_interval(MISSING, seed=4, resamples=200)
    assert first.low < first.estimate < first.high
    assert first == krippendorff_alpha_interval(MISSING, seed=4, resamples=200)


@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval"])
def test_alpha_interval_is_the_bootstrap_of_the_items(metric):
    rng = np.random.default_rng(2)
    matrix = rng.integers(1, 4, (4, 40)).astype(float)
    matrix[1] = matrix[0]
    matrix[rng.random(matrix.shape) < 0.3] = np.nan
    draws = np.random.default_rng(5)
    alphas = [
        krippendorff_alpha(matrix[:, draws.integers(0, 40, 40)], metric=metric) for _ in range(200)
    ]
    found = krippendorff_alpha_interval(matrix, seed=5, metric=metric, resamples=200)
    assert found.estimate == pytest.approx(krippendorff_alpha(matrix, metric=metric))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(alphas, [0.025, 0.975])))
    assert found.n == 40
    with pytest.raises(ValueError, match="at least 2 items"):
        krippendorff_alpha_interval([[1.0], [1.0]], seed=0)


def test_pairwise_agreement_counts_pairs_of_people():
    found = pairwise_agreement(np.array([[1, 2, N], [1, 3, N], [2, 3, 4]]))
    assert found.estimate == pytest.approx(2 / 6)  # item 1: 1 of 3 pairs, item 2: 1 of 3
    assert found.n == 2


def test_position_bias_is_wider_when_it_rests_on_few_people():
    choices = [1.0] * 70 + [0.0] * 30
    alone = position_bias(choices)
    people = position_bias(choices, ["a"] * 50 + ["b"] * 50)
    assert alone.estimate == people.estimate == pytest.approx(0.7)
    assert people.high - people.low > alone.high - alone.low
