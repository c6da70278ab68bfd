"""Agreement beyond chance, against the `krippendorff` package, published figures and hand counts."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest

from annotation.statistics.agreement import (
    alpha_estimate,
    gwet_estimate,
    pair_estimate,
    vote_counts,
)
from tests.support.given import given

N = np.nan
# Krippendorff's example of four observers and twelve units, which Gwet's irrCAC ships as cac.raw4raters.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)


def counted(matrix: np.ndarray, size: int, fewest: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Through `vote_counts`, as the pages do."""
    _, items = np.nonzero(~np.isnan(matrix))
    return vote_counts(items, matrix[~np.isnan(matrix)].astype(int) - 1, size, fewest=fewest)


def random_votes(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 8, 60)
    votes = np.clip(truth + rng.integers(-2, 3, (5, 60)), 1, 7).astype(float)
    votes[rng.random((5, 60)) < 0.4] = N
    return np.asarray(votes)


@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_krippendorff_package(metric, seed):
    votes = random_votes(seed)
    expected = krippendorff.alpha(votes, level_of_measurement=metric)
    found = alpha_estimate(*counted(votes, 7), metric=metric)
    assert found is not None
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.low <= found.value <= found.high


def test_alpha_of_the_published_example():
    counts = counted(PUBLISHED, 5)
    assert given(alpha_estimate(*counts, metric="nominal")).value == pytest.approx(0.743, abs=5e-4)
    assert given(alpha_estimate(*counts, metric="ordinal")).value == pytest.approx(0.815, abs=5e-4)


def test_gwet_s_ac1_of_the_published_example():
    # irrCAC, gwet.ac1.raw(cac.raw4raters): 0.77544; its unit with a single vote counts towards chance.
    found = gwet_estimate(*counted(PUBLISHED, 5, fewest=1), weights="identity")
    assert found is not None
    assert found.value == pytest.approx(0.77544, abs=5e-6)
    assert found.n == 11


def test_gwet_s_ac2_by_hand():
    # Three values, weights 1, 2/3, 0 by distance. Items: (1,1), (1,2), (3,3), (2,3).
    counts = np.array([[2, 0, 0], [1, 1, 0], [0, 0, 2], [0, 1, 1]], dtype=float)
    agreed = (1 + 2 / 3 + 1 + 2 / 3) / 4
    shares = np.array([1.5, 1.0, 1.5]) / 4
    chance = (3 + 4 * 2 / 3) / 6 * sum(p * (1 - p) for p in shares)
    found = gwet_estimate(counts, np.ones(4), weights="ordinal")
    assert found is not None
    assert found.value == pytest.approx((agreed - chance) / (1 - chance))


def test_pairs_of_votes_by_hand():
    # 3 against 1: 3 of 6 pairs agree; 2 against 0: the one pair; a single vote has none.
    items = np.array([0, 0, 0, 0, 1, 1, 2])
    values = np.array([0, 0, 0, 1, 1, 1, 0])
    found = pair_estimate(*vote_counts(items, values, 2))
    assert found is not None
    assert (found.value, found.n) == (4 / 7, 2)


def test_the_interval_is_the_bootstrap_over_items():
    """As drawing the items one by one gives it, to within the noise of drawing."""
    votes = random_votes(7)
    found = alpha_estimate(*counted(votes, 7), metric="nominal")
    rng = np.random.default_rng(3)
    paired = votes[:, (~np.isnan(votes)).sum(0) >= 2]
    size = paired.shape[1]
    draws = [
        krippendorff.alpha(paired[:, rng.integers(0, size, size)], level_of_measurement="nominal")
        for _ in range(400)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)


def test_without_two_votes_on_a_pair_there_is_nothing_to_tell():
    for items, values in (([], []), ([0, 1], [0, 1]), ([0, 0], [1, 1])):
        counts = vote_counts(np.array(items, dtype=int), np.array(values, dtype=int), 3)
        assert alpha_estimate(*counts, metric="nominal") is None
        every = vote_counts(np.array(items, dtype=int), np.array(values, dtype=int), 3, fewest=1)
        assert gwet_estimate(*every, weights="identity") is None
        assert pair_estimate(*counts) is None


def test_where_everybody_always_says_the_same_alpha_is_undefined_and_ac_is_one():
    counts = vote_counts(np.repeat(np.arange(20), 2), np.zeros(40, dtype=int), 3)
    assert alpha_estimate(*counts, metric="nominal") is None
    found = gwet_estimate(*counts, weights="identity")
    assert found is not None
    assert found.value == 1.0
