"""What the statistics do where the caller says nothing, what they call themselves, and how they refuse."""

import re

import numpy as np
import pytest

from evaluation.statistics import (
    agreement,
    calibration,
    discrimination,
    diversity,
    length,
    paired,
    ratings,
)
from evaluation.statistics import intervals as ci
from evaluation.statistics import sequences as seq

RNG = np.random.default_rng(11)
VALUES = RNG.normal(1.0, 1.0, 40)
SHARES = RNG.integers(0, 2, 40).astype(float)
GROUPS = (np.arange(40) // 4).tolist()
OTHER_GROUPS = (np.arange(40) % 5).tolist()
OTHER_SHARES = RNG.integers(0, 2, 40).astype(float)
WON = RNG.random(40) < 0.5
RATED = RNG.integers(1, 4, (4, 30)).astype(float)
TEXTS = [RNG.integers(0, 9, 12).tolist() for _ in range(40)]
OTHERS = [RNG.integers(0, 7, 15).tolist() for _ in range(40)]
OUTCOMES = [1.0, 0.5, 0.0, 1.0, 1.0, 0.5, 0.0, 1.0]
LOGITS = RNG.normal(0, 2, 60)
ANSWERS = (RNG.random(60) < 1 / (1 + np.exp(-LOGITS))).astype(float)
P = 1 / (1 + np.exp(-LOGITS))


@pytest.mark.parametrize(
    ("silent", "spoken"),
    [
        (lambda: ci.wilson_interval(3, 9), lambda: ci.wilson_interval(3, 9, level=0.95)),
        (
            lambda: ci.cluster_mean_interval(VALUES, GROUPS),
            lambda: ci.cluster_mean_interval(VALUES, GROUPS, level=0.95),
        ),
        (
            lambda: ci.cluster_share_interval(SHARES, GROUPS),
            lambda: ci.cluster_share_interval(SHARES, GROUPS, level=0.95),
        ),
        (
            lambda: ci.cluster_bootstrap_interval(
                lambda r: float(VALUES[r].mean()), GROUPS, seed=1
            ),
            lambda: ci.cluster_bootstrap_interval(
                lambda r: float(VALUES[r].mean()), GROUPS, seed=1, resamples=2000, level=0.95
            ),
        ),
        (
            lambda: agreement.krippendorff_alpha_interval(RATED, seed=1),
            lambda: agreement.krippendorff_alpha_interval(
                RATED, seed=1, metric="nominal", level=0.95, resamples=1000
            ),
        ),
        (
            lambda: agreement.pairwise_agreement(RATED),
            lambda: agreement.pairwise_agreement(RATED, level=0.95),
        ),
        (
            lambda: agreement.position_bias(SHARES.tolist()),
            lambda: agreement.position_bias(SHARES.tolist(), None, level=0.95),
        ),
        (
            lambda: agreement.position_bias(SHARES.tolist(), GROUPS),
            lambda: agreement.position_bias(SHARES.tolist(), GROUPS, level=0.95),
        ),
        (
            lambda: calibration.expected_calibration_error(P, ANSWERS),
            lambda: calibration.expected_calibration_error(P, ANSWERS, bins=10),
        ),
        (
            lambda: calibration.ece_null_quantile(P, seed=3),
            lambda: calibration.ece_null_quantile(
                P, seed=3, bins=10, quantile=0.95, resamples=2000
            ),
        ),
        (
            lambda: calibration.reliability_bins(P, ANSWERS),
            lambda: calibration.reliability_bins(P, ANSWERS, bins=10),
        ),
        (
            lambda: calibration.fit_temperature(np.full(4, 9.0), np.array([1.0, 0.0, 1.0, 0.0])),
            lambda: calibration.fit_temperature(
                np.full(4, 9.0), np.array([1.0, 0.0, 1.0, 0.0]), limit=20.0
            ),
        ),
        (
            lambda: diversity.distinct_n(TEXTS, 2),
            lambda: diversity.distinct_n(TEXTS, 2, tokens=480),
        ),
        (
            lambda: diversity.distinct_ratio_interval(TEXTS, OTHERS, range(40), 2, seed=1),
            lambda: diversity.distinct_ratio_interval(
                TEXTS, OTHERS, range(40), 2, seed=1, tokens=0, blocks=20, level=0.95
            ),
        ),
        (
            lambda: length.median_ratio_interval(VALUES + 9, VALUES + 8, GROUPS, seed=1),
            lambda: length.median_ratio_interval(
                VALUES + 9, VALUES + 8, GROUPS, seed=1, resamples=2000, level=0.95
            ),
        ),
        (
            lambda: length.length_free_share(VALUES + 2, VALUES**2, GROUPS, seed=1),
            lambda: length.length_free_share(
                VALUES + 2, VALUES**2, GROUPS, seed=1, resamples=2000, level=0.95
            ),
        ),
        (
            lambda: ratings.bradley_terry_ratings([[0, 3], [5, 0]]),
            lambda: ratings.bradley_terry_ratings(
                [[0, 3], [5, 0]], prior_std=2.0, level=0.95, anchor=0
            ),
        ),
    ],
)
def test_what_is_not_said_is_the_convention(silent, spoken):
    assert silent() == spoken()


def test_sequences_by_default_are_against_even_at_95_per_cent_on_400_means():
    assert (seq.e_process(OUTCOMES) == seq.e_process(OUTCOMES, null=0.5)).all()
    silent = seq.confidence_sequence(OUTCOMES)
    assert (silent == seq.confidence_sequence(OUTCOMES, level=0.95, grid=400)).all()


@pytest.mark.parametrize(
    ("interval", "method", "n", "level"),
    [
        (lambda: ci.wilson_interval(3, 9, level=0.9), "Wilson", 9, 0.9),
        (lambda: ci.cluster_mean_interval(VALUES, range(40), level=0.9), "cluster t", 40, 0.9),
        (lambda: ci.cluster_share_interval(SHARES, GROUPS, level=0.9), "cluster Wilson", 10, 0.9),
        (
            lambda: ci.cluster_bootstrap_interval(
                lambda r: float(VALUES[r].mean()), GROUPS, seed=1, resamples=50, level=0.9
            ),
            "cluster bootstrap",
            10,
            0.9,
        ),
        (lambda: agreement.pairwise_agreement(RATED, level=0.9), "cluster t", 30, 0.9),
        (lambda: agreement.position_bias(SHARES.tolist(), level=0.9), "Wilson", 40, 0.9),
        (lambda: agreement.position_bias(SHARES.tolist(), GROUPS, level=0.9), "cluster t", 10, 0.9),
        (
            lambda: diversity.distinct_ratio_interval(
                TEXTS, OTHERS, range(40), 2, seed=1, level=0.9
            ),
            "delete-a-block jackknife",
            40,
            0.9,
        ),
        (
            lambda: diversity.distinct_ratio_interval([[]] * 4, [[1, 2]] * 4, range(4), 2, seed=0),
            "no text",
            4,
            0.95,
        ),
        (lambda: ratings.bradley_terry_ratings([[0, 3], [5, 0]], level=0.9)[1], "Laplace", 8, 0.9),
        (
            lambda: length.median_ratio_interval(
                VALUES + 9, VALUES + 8, GROUPS, seed=1, resamples=50, level=0.9
            ),
            "cluster bootstrap",
            10,
            0.9,
        ),
        (
            lambda: agreement.krippendorff_alpha_interval(RATED, seed=1, resamples=50, level=0.9),
            "cluster bootstrap",
            30,
            0.9,
        ),
    ],
)
def test_an_interval_says_its_method_its_level_and_on_how_many_units_it_rests(
    interval, method, n, level
):
    found = interval()
    assert (found.method, found.n, found.level) == (method, n, level)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (lambda: ci.wilson_interval(3, 9, level=0.5), lambda: ci.wilson_interval(3, 9)),
        (
            lambda: ci.cluster_mean_interval(VALUES, GROUPS, level=0.5),
            lambda: ci.cluster_mean_interval(VALUES, GROUPS),
        ),
        (
            lambda: agreement.pairwise_agreement(RATED, level=0.5),
            lambda: agreement.pairwise_agreement(RATED),
        ),
        (
            lambda: agreement.position_bias(SHARES.tolist(), level=0.5),
            lambda: agreement.position_bias(SHARES.tolist()),
        ),
        (
            lambda: agreement.position_bias(SHARES.tolist(), GROUPS, level=0.5),
            lambda: agreement.position_bias(SHARES.tolist(), GROUPS),
        ),
        (
            lambda: agreement.krippendorff_alpha_interval(RATED, seed=1, resamples=99, level=0.5),
            lambda: agreement.krippendorff_alpha_interval(RATED, seed=1, resamples=99),
        ),
        (
            lambda: length.length_free_share(VALUES + 2, VALUES**2, GROUPS, seed=1, level=0.5),
            lambda: length.length_free_share(VALUES + 2, VALUES**2, GROUPS, seed=1),
        ),
        (
            lambda: ci.cluster_share_interval(SHARES, GROUPS, level=0.5),
            lambda: ci.cluster_share_interval(SHARES, GROUPS),
        ),
        (
            lambda: ci.two_way_share_interval(SHARES, GROUPS, OTHER_GROUPS, level=0.5),
            lambda: ci.two_way_share_interval(SHARES, GROUPS, OTHER_GROUPS),
        ),
        (
            lambda: ci.cluster_ratio_interval(VALUES**2, VALUES + 9, GROUPS, seed=1, level=0.5),
            lambda: ci.cluster_ratio_interval(VALUES**2, VALUES + 9, GROUPS, seed=1),
        ),
        (
            lambda: paired.paired_difference_interval(SHARES, OTHER_SHARES, level=0.5),
            lambda: paired.paired_difference_interval(SHARES, OTHER_SHARES),
        ),
        (
            lambda: discrimination.discrimination_interval(
                VALUES, WON, clusterings=[GROUPS], level=0.5
            ),
            lambda: discrimination.discrimination_interval(VALUES, WON, clusterings=[GROUPS]),
        ),
        (
            lambda: discrimination.discrimination_sequence(VALUES, WON, level=0.5),
            lambda: discrimination.discrimination_sequence(VALUES, WON),
        ),
        (
            lambda: diversity.distinct_ratio_interval(
                TEXTS, OTHERS, range(40), 2, seed=1, level=0.5
            ),
            lambda: diversity.distinct_ratio_interval(TEXTS, OTHERS, range(40), 2, seed=1),
        ),
        (
            lambda: ratings.bradley_terry_ratings([[0, 3], [5, 0]], level=0.5)[1],
            lambda: ratings.bradley_terry_ratings([[0, 3], [5, 0]])[1],
        ),
    ],
)
def test_a_lower_level_is_a_narrower_interval(narrow, wide):
    narrow, wide = narrow(), wide()
    assert (narrow.level, wide.level) == (0.5, 0.95)
    assert wide.low < narrow.low <= narrow.estimate <= narrow.high < wide.high


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: ci.wilson_interval(5, 4),
            "a share needs 0 <= successes <= n and n >= 1, got 5 of 4.",
        ),
        (
            lambda: ci.wilson_interval(0, 0),
            "a share needs 0 <= successes <= n and n >= 1, got 0 of 0.",
        ),
        (lambda: ci.cluster_mean_interval([1.0, 2.0], [1]), "2 values but 1 cluster ids."),
        (
            lambda: ci.cluster_mean_interval([1.0, 2.0], [1, 1]),
            "an interval needs at least 2 clusters, got 1.",
        ),
        (
            lambda: ci.cluster_bootstrap_interval(lambda r: 0.0, [1, 1], seed=1),
            "an interval needs at least 2 clusters, got 1.",
        ),
        (
            lambda: ci.percentile_interval(float("nan"), np.ones(9), level=0.9, n=1, method="m"),
            "the statistic is undefined on too many bootstrap draws; more data needed.",
        ),
        (
            lambda: seq.e_process([1.0], null=1.0),
            "the null must lie between 0 and 1, got 1.0.",
        ),
        (lambda: seq.e_process([1.0], null=0.0), "the null must lie between 0 and 1, got 0.0."),
        (lambda: seq.e_process([]), "evidence needs at least one outcome."),
        (lambda: seq.e_process(np.ones((1, 1))), "evidence needs at least one outcome."),
        (
            lambda: seq.e_process([1.1]),
            "every outcome must lie in [0, 1]: 1 a win, 0.5 a tie, 0 a loss.",
        ),
        (
            lambda: agreement.krippendorff_alpha([1.0, 2.0]),
            "ratings must be a matrix [raters, items] with NaN where there is none.",
        ),
        (
            lambda: calibration.log_loss(np.ones(1), np.ones(2)),
            "1 predictions but 2 outcomes; both must match.",
        ),
        (
            lambda: calibration.log_loss(np.ones(0), np.ones(0)),
            "0 predictions but 0 outcomes; both must match.",
        ),
        (
            lambda: calibration.reliability_bins(np.ones(1), np.ones(2)),
            "1 predictions but 2 outcomes; both must match.",
        ),
        (
            lambda: calibration.expected_calibration_error(np.ones(1), np.ones(2)),
            "1 predictions but 2 outcomes; both must match.",
        ),
        (
            lambda: calibration.reliability_bins(np.array([-0.1]), np.ones(1)),
            "probabilities must lie in [0, 1]; pass sigmoid(logits).",
        ),
        (
            lambda: diversity.distinct_ratio_interval([[1]], [[2]], [1], 2, seed=0),
            "an interval needs at least 2 clusters, got 1.",
        ),
        (
            lambda: diversity.distinct_ratio_interval([[1]] * 2, [[]] * 2, [1, 2], 2, seed=0),
            "distinct-n needs texts on both sides.",
        ),
        (
            lambda: ratings.bradley_terry_ratings([[0, 1]]),
            "wins must be a square matrix of counts: wins[i, j] is how often i beat j.",
        ),
        (
            lambda: ratings.bradley_terry_ratings([[0, -1], [1, 0]]),
            "wins must be a square matrix of counts: wins[i, j] is how often i beat j.",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match="^" + re.escape(sentence) + "$"):
        call()


def test_clusters_are_numbered_as_they_appear():
    codes, count = ci.cluster_codes(["b", "a", "b", "c"])
    assert (codes.tolist(), count) == ([0, 1, 0, 2], 3)


def test_bootstrap_draws_may_miss_the_statistic_one_time_in_ten():
    draws = np.array([float("nan"), *range(9)])
    found = ci.percentile_interval(4.0, draws, level=0.5, n=7, method="m")
    assert (found.low, found.high, found.n, found.method) == (2.0, 6.0, 7, "m")
    with pytest.raises(ValueError, match="undefined"):
        ci.percentile_interval(4.0, np.append(draws, float("nan")), level=0.5, n=7, method="m")


def test_an_interval_of_draws_holds_the_estimate():
    assert ci.percentile_interval(9.0, np.arange(5.0), level=0.5, n=1, method="").high == 9.0
    assert ci.percentile_interval(-1.0, np.arange(5.0), level=0.5, n=1, method="").low == -1.0


def test_bettors_stake_from_two_to_ninety_per_cent_of_their_capital():
    assert len(seq.FRACTIONS) == 16
    assert seq.FRACTIONS[[0, -1]].tolist() == pytest.approx([0.02, 0.9])


def test_the_highest_capital_is_written_as_a_number_that_json_holds():
    assert seq.e_process([1.0] * 5000)[-1] == 1e300


def test_bounds_that_have_become_empty_stay_the_last_ones():
    nan = float("nan")
    bounds = np.array([[0.0, 1.0], [0.2, 0.8], [nan, nan], [nan, nan]])
    assert seq._last_nonempty(bounds)[2:].tolist() == [[0.2, 0.8], [0.2, 0.8]]
