import math

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit

from evaluation.statistics.ratings import bradley_terry_ratings


def test_two_versions_are_the_log_odds_of_their_wins_when_the_prior_is_wide():
    first, second = bradley_terry_ratings([[0, 30], [70, 0]], prior_std=1e4)
    assert (first.estimate, first.low, first.high) == (0.0, 0.0, 0.0)
    assert second.estimate == pytest.approx(math.log(70 / 30), abs=1e-5)
    # Var(logit) = 1 / (n p (1 - p))
    assert second.high - second.estimate == pytest.approx(1.959964 / math.sqrt(21), abs=1e-4)


def test_every_rating_says_its_method_its_level_and_its_labels():
    for found in bradley_terry_ratings([[0, 3], [5, 0]], level=0.9):
        assert (found.method, found.level, found.n) == ("Laplace", 0.9, 8)


def test_a_version_that_never_lost_stays_finite():
    found = bradley_terry_ratings([[0, 0], [50, 0]])
    assert 2 < found[1].estimate < 8
    assert found[1].low > 0


def test_ratings_of_a_chain_recover_the_truth():
    truth = np.array([0.0, 0.5, 0.9, 0.7])
    rng = np.random.default_rng(0)
    wins = np.zeros((4, 4))
    for i in range(4):
        for j in range(i + 1, 4):
            p = 1 / (1 + math.exp(truth[j] - truth[i]))
            wins[i, j] = rng.binomial(3000, p)
            wins[j, i] = 3000 - wins[i, j]
    found = [r.estimate for r in bradley_terry_ratings(wins)]
    assert found == pytest.approx(truth, abs=0.08)


def test_versions_that_never_met_have_wider_intervals():
    linked = bradley_terry_ratings([[0, 20, 0], [20, 0, 20], [0, 20, 0]])
    widths = [r.high - r.low for r in linked]
    assert widths[2] > widths[1] > widths[0] == 0


def test_a_sparse_line_of_many_versions_is_rated_as_the_whole_inverse_would():
    rng = np.random.default_rng(3)
    size, labels = 60, 400.0
    wins = np.zeros((size, size))
    for newer in range(1, size):
        for older in {max(0, newer - 1 - int(rng.integers(0, 3))), int(rng.integers(0, newer))}:
            won = labels * rng.uniform(0.4, 0.6)
            wins[newer, older], wins[older, newer] = won, labels - won
    found = bradley_terry_ratings(sparse.csr_array(wins), anchor=4)
    rating = np.array([r.estimate for r in found])
    # the posterior's curvature where the rating is, inverted as a whole
    games = wins + wins.T
    p = expit(np.subtract.outer(rating, rating))
    weight = games * p * (1 - p)
    inverse = np.linalg.inv(np.diag(weight.sum(1) + 1 / 4) - weight)
    variance = np.diag(inverse) + inverse[4, 4] - 2 * inverse[4]
    spread = np.array([(r.high - r.low) / 2 for r in found])
    assert spread == pytest.approx(1.959964 * np.sqrt(np.abs(variance)), rel=1e-5, abs=1e-7)
    assert (found[4].estimate, found[4].low, found[4].high) == (0.0, 0.0, 0.0)


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="square matrix"):
        bradley_terry_ratings([[0, 1]])
