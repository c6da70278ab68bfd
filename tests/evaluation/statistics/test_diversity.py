import math

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.diversity import (
    distinct_n,
    distinct_ratio_interval,
    group_distinct_n,
)


def test_distinct_n_counts_different_ngrams_inside_texts():
    texts = [[1, 2, 3], [1, 2, 1, 2]]  # bigrams 12 23 | 12 21 12
    assert distinct_n(texts, 2) == pytest.approx(3 / 5)
    assert distinct_n(texts, 1, tokens=4) == pytest.approx(3 / 4)
    assert distinct_n([[1]], 2) == 0.0


def test_within_group_diversity_compares_answers_to_one_prompt():
    texts = [[1, 2, 3, 4], [1, 2, 3], [5, 6], [7, 8]]
    # a, cut to 3 tokens: bigrams 12 23 12 23; b: 56 78
    assert group_distinct_n(texts, ["a", "a", "b", "b"], 2) == {"a": 0.5, "b": 1.0}
    assert group_distinct_n(texts, ["a", "b", "c", "d"], 2) == {}


def policy(words: int, seed: int, count: int = 200) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, words, rng.integers(5, 20)).tolist() for _ in range(count)]


def test_identical_texts_have_a_ratio_of_exactly_one():
    texts = policy(50, 1)
    found = distinct_ratio_interval(texts, texts, range(200), 2, seed=0)
    assert (found.estimate, found.low, found.high) == (1.0, 1.0, 1.0)


def test_a_collapse_is_told_from_ordinary_variation():
    same = distinct_ratio_interval(policy(50, 1), policy(50, 2), range(200), 2, seed=0)
    assert same.low < 1 < same.high
    assert same.high - same.low < 0.25
    narrow = distinct_ratio_interval(policy(12, 1), policy(50, 2), range(200), 2, seed=0)
    assert narrow.high < 0.5


def test_the_spread_is_that_of_leaving_out_one_block_after_another():
    ours, theirs = policy(9, 4, 5), policy(12, 5, 5)
    found = distinct_ratio_interval(ours, theirs, range(5), 1, seed=0, tokens=20, level=0.9)

    def ratio(rows):
        shares = [distinct_n([side[i] for i in rows], 1, tokens=20) for side in (ours, theirs)]
        return math.log(shares[0] / shares[1])

    # no text is shorter than 5 tokens, so that 20 are there whichever is left out
    order = np.random.default_rng(0).permutation(5)
    left_out = np.array([ratio([i for i in order if i != out]) for out in range(5)])
    error = math.sqrt(4 / 5 * ((left_out - left_out.mean()) ** 2).sum())
    assert math.log(found.estimate) == pytest.approx(ratio(order))
    reach = stats.t.ppf(0.95, 4) * error
    assert math.log(found.high / found.estimate) == pytest.approx(reach)
    assert math.log(found.estimate / found.low) == pytest.approx(reach)


def test_longer_texts_do_not_look_narrower():
    short, long = policy(50, 1), [a + b for a, b in zip(policy(50, 2), policy(50, 3), strict=True)]
    found = distinct_ratio_interval(long, short, range(200), 2, seed=0, tokens=1500)
    assert found.low < 1 < found.high


def test_replies_too_short_for_an_ngram_look_collapsed():
    # 4 tokens each side: half an n-gram of 4 against 1 different bigram of 2
    found = distinct_ratio_interval([[1]] * 4, [[1, 2]] * 4, range(4), 2, seed=0)
    assert found.estimate == pytest.approx((0.5 / 4) / (1 / 2))


def test_a_candidate_that_writes_nothing_has_ratio_zero():
    found = distinct_ratio_interval([[]] * 4, [[1, 2]] * 4, range(4), 2, seed=0)
    assert (found.low, found.high) == (0.0, 0.0)
    with pytest.raises(ValueError, match="both sides"):
        distinct_ratio_interval([[1]] * 4, [[]] * 4, range(4), 2, seed=0)
