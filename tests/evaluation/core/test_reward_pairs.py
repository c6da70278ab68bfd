import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from annotation.rows import PreferenceRow, RankingPart
from evaluation.contracts import EvaluateRewardModelConfig
from evaluation.core.reward_pairs import (
    JudgedPairs,
    answers_numbered,
    length_direction,
    split_measure,
)

CONFIG = EvaluateRewardModelConfig(null_resamples=200, minimum_slice=2, length_buckets=2)


def judged(difference, preference, **changes) -> JudgedPairs:
    n = len(difference)
    fields = {
        "held_out": None,
        "strength": np.full(n, 2.0),
        "longer": np.ones(n),
        "length": np.arange(n, dtype=float),
        "groups": [f"g{i}" for i in range(n)],
        "raters": ["ada"] * n,
        "strategies": ["random"] * n,
    }
    return JudgedPairs(
        np.array(difference), preference=np.array(preference), **{**fields, **changes}
    )


def test_accuracy_counts_untied_pairs_and_halves_for_equal_scores():
    pairs = judged([2.0, -1.0, 0.0, 5.0], [1.0, 1.0, 0.0, 0.5])
    found = split_measure(pairs, direction=1.0, config=CONFIG, seed=0)
    assert found.accuracy.estimate == pytest.approx((1 + 0 + 0.5) / 3)
    assert (found.pairs, found.ties, found.groups) == (4, 1, 4)


def test_log_loss_counts_ties_too():
    found = split_measure(
        judged([0.0, 2.0, 1.0], [1.0, 0.5, 0.0]), direction=1.0, config=CONFIG, seed=0
    )
    tie = math.log(1 + math.exp(2)) - 1  # -(ln s(2) + ln s(-2)) / 2
    expected = (math.log(2) + tie + math.log(1 + math.exp(1))) / 3
    assert found.nll == pytest.approx(expected)


def test_the_length_baseline_follows_the_direction_learned_elsewhere():
    longer, preference = np.array([5.0, -3.0, 2.0]), np.array([0.0, 1.0, 0.0])
    assert length_direction(longer, preference) == -1.0
    pairs = judged([1.0, 1.0, 1.0], preference, longer=longer)
    assert split_measure(pairs, direction=-1.0, config=CONFIG, seed=0).length_baseline.estimate == 1
    assert split_measure(pairs, direction=1.0, config=CONFIG, seed=0).length_baseline.estimate == 0


def test_slices_say_who_and_what_is_right_and_leave_out_small_ones():
    pairs = judged(
        [1.0, 1.0, -1.0, -1.0, 1.0],
        [1.0] * 5,
        raters=["ada", "ada", "bob", "bob", "eve"],
        strength=np.array([1.0, 1.0, 3.0, 3.0, 2.0]),
        held_out=np.full(5, -1.0),
    )
    found = split_measure(pairs, direction=1.0, config=CONFIG, seed=0)
    shares = {(s.dimension, s.value): s.accuracy.estimate for s in found.slices}
    assert shares["rater", "ada"] == 1.0
    assert shares["rater", "bob"] == 0.0
    assert ("rater", "eve") not in shares
    assert shares["strength", "much better"] == 1.0
    assert shares["strength", "slightly better"] == 0.0
    assert sum(s.pairs for s in found.slices if s.dimension == "length") == 5
    assert found.held_out_accuracy is not None
    assert found.held_out_accuracy.estimate == 0.0


def test_pairs_drawn_at_random_are_a_slice_of_their_own_where_others_were_chosen():
    pairs = judged(
        [1.0, 1.0, -1.0, -1.0],
        [1.0] * 4,
        strategies=["random", "random", "disagreement", "disagreement"],
    )
    found = split_measure(pairs, direction=1.0, config=CONFIG, seed=0)
    shares = {s.value: s.accuracy.estimate for s in found.slices if s.dimension == "chosen"}
    assert shares == {"at random": 1.0, "by disagreement": 0.0}
    alike = split_measure(judged([1.0, 1.0], [1.0, 1.0]), direction=1.0, config=CONFIG, seed=0)
    assert not [s for s in alike.slices if s.dimension == "chosen"]


def test_a_model_that_scores_length_is_found_out():
    longer = np.random.default_rng(0).normal(size=200)
    found = split_measure(
        judged(2 * longer, (longer > 0).astype(float), longer=longer),
        direction=1.0,
        config=CONFIG,
        seed=0,
    )
    assert found.length_correlation == pytest.approx(1.0)
    assert found.length_baseline.estimate == 1.0
    assert found.temperature < 1  # its order is perfect: it could be surer


def test_correlation_of_two_models_does_not_depend_on_which_completion_is_named_first():
    rng = np.random.default_rng(2)
    first = rng.normal(size=400)
    second = 3 * (first + rng.normal(size=400))  # correlation 1 / sqrt(2)
    sides = rng.choice([-1.0, 1.0], 400)
    won = (first > 0).astype(float)
    found = [
        split_measure(
            judged(first * s, won, held_out=second * s), direction=1.0, config=CONFIG, seed=0
        )
        for s in (np.ones(400), sides)
    ]
    one, other = (split.held_out_correlation for split in found)
    assert one is not None
    assert one == other
    assert one.low < 1 / np.sqrt(2) < one.high
    assert one.high - one.low < 0.3
    silent = split_measure(
        judged(first, won, held_out=np.zeros(400)), direction=1.0, config=CONFIG, seed=0
    )
    assert silent.held_out_correlation is None


def test_a_calibrated_model_is_under_its_null_and_an_overconfident_one_is_not():
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1.2, 1500)
    won = (rng.random(1500) < 1 / (1 + np.exp(-truth))).astype(float)
    honest = split_measure(judged(truth, won), direction=1.0, config=CONFIG, seed=0)
    loud = split_measure(judged(truth * 3, won), direction=1.0, config=CONFIG, seed=0)
    assert honest.ece <= honest.ece_null_95 + 0.01
    assert loud.ece > loud.ece_null_95 + 0.05
    assert loud.temperature == pytest.approx(3 * honest.temperature, rel=0.01)


def test_calibrated_figures_are_those_of_the_calibrated_odds():
    raw, calm = [4.0, -2.0, 1.0, 3.0], [2.0, -1.0, 0.5, 1.5]
    preference = [1.0, 0.0, 0.0, 0.5]
    pairs = judged(raw, preference, calibrated=np.array(calm))
    found = split_measure(pairs, direction=1.0, config=CONFIG, seed=0)
    as_raw = split_measure(judged(calm, preference), direction=1.0, config=CONFIG, seed=0)
    assert (found.nll_calibrated, found.ece_calibrated) == (as_raw.nll, as_raw.ece)
    assert (
        found.nll
        == split_measure(judged(raw, preference), direction=1.0, config=CONFIG, seed=0).nll
    )
    assert as_raw.nll_calibrated is None


def ranked(ranking: str, *levels: int, texts: str = "abcdefghi") -> list[PreferenceRow]:
    """The pairs of one ranking, as a snapshot holds them."""
    return [
        PreferenceRow(
            id=f"{ranking}:{i + 1}-{j + 1}",
            group=ranking,
            messages=({"role": "user", "content": "?"},),
            completions=(texts[i], texts[j]),
            preference=0.5 if levels[i] == levels[j] else float(levels[i] < levels[j]),
            part=RankingPart(ranking, len(levels), (levels[i], levels[j])),
        )
        for i, j in combinations(range(len(levels)), 2)
    ]


def test_texts_of_a_ranking_are_numbered_once_and_those_of_other_pairs_apart():
    alone = replace(ranked("x", 1, 2, 3)[0], part=None)
    numbered = answers_numbered([*ranked("r", 1, 2, 3), alone, *ranked("s", 1, 2, 3)])
    assert numbered is not None
    assert numbered.tolist() == [[0, 1], [0, 2], [1, 2], [3, 4], [5, 6], [5, 7], [6, 7]]
    assert answers_numbered([alone, alone]) is None
    same = answers_numbered(ranked("r", 1, 2, 3, texts="aab"))
    assert same is not None
    assert same.tolist() == [[0, 1], [2, 3], [2, 3]]


def test_pairs_of_few_rankings_leave_more_to_chance_than_as_many_of_their_own():
    """Eight rankings of nine answers are 288 pairs, and of accuracy no more than eight clusters."""
    rows = [row for n in range(8) for row in ranked(f"r{n}", *range(1, 10))]
    told = {"groups": [row.group for row in rows]}
    difference, preference = [0.2] * len(rows), [1.0] * len(rows)
    own = judged(difference, preference, **told)
    of_rankings = judged(difference, preference, **told, answers=answers_numbered(rows))
    chance = [
        split_measure(pairs, direction=1.0, config=CONFIG, seed=0).ece_null_95
        for pairs in (own, of_rankings)
    ]
    assert chance[1] > 1.5 * chance[0]
    assert split_measure(of_rankings, direction=1.0, config=CONFIG, seed=0).accuracy.n == 8
