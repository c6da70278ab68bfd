from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from annotation.contracts import SELECTION_WORDS
from outerloop.rounds.selection import (
    STRATEGIES,
    chosen_words,
    disagreement,
    expected_information,
    pairs_choose,
    thompson_pair,
)


def row(name, *members_of_text):
    """Scores of each text by member, in log-odds; two texts without any where none are given."""
    sides = [
        {"text": f"{name} {i}", "scores": {f"rm/log_odds_{k}": s for k, s in enumerate(scores)}}
        for i, scores in enumerate(members_of_text or ((), ()))
    ]
    return {"prompt_id": name, "completions": sides}


def scored(name, *margins):
    """Member k says that the first of two texts is better by the given log-odds."""
    return row(name, margins, (0.0,) * len(margins))


def choose(rows, wanted, strategy="disagreement", random_share=0.0, seed=1):
    return pairs_choose(
        rows, wanted=wanted, strategy=strategy, random_share=random_share, seed=seed
    )


def names(chosen, strategy=None):
    return {c.row["prompt_id"] for c in chosen if strategy in (None, c.strategy)}


def test_disagreement_is_the_variance_of_the_margin():
    assert disagreement([3.0, 1.0, -1.0]) == pytest.approx(8 / 3)
    assert disagreement([2.0, 2.0]) == 0.0


def test_expected_information_is_that_of_a_vote_about_the_member():
    """Two members, by hand from the joint table of member and vote: sum of p log(p / (p_member p_vote))."""
    chances = [0.9, 0.2]
    vote = sum(chances) / 2
    joint = [(c / 2, vote) for c in chances] + [((1 - c) / 2, 1 - vote) for c in chances]
    by_hand = sum(p * math.log(p / (0.5 * marginal)) for p, marginal in joint)
    margins = [math.log(c / (1 - c)) for c in chances]
    assert expected_information(margins) == pytest.approx(by_hand)
    assert expected_information([0.0, 0.0]) == 0.0
    assert expected_information([900.0, -900.0]) == pytest.approx(math.log(2))


def test_information_and_disagreement_want_different_pairs():
    """Sure of one winner, by unlike margins, teaches less than unsure of the winner."""
    rows = [scored("sure", 4.0, 9.0), scored("split", 1.5, -1.5)]
    assert names(choose(rows, 1)) == {"sure"}
    assert names(choose(rows, 1, "expected_information")) == {"split"}


def test_a_stated_share_is_random_and_the_rest_are_the_most_disputed():
    rows = [scored(f"p{i}", i / 10, -i / 10) for i in range(100)]
    chosen = choose(rows, 20, random_share=0.2)
    assert Counter(c.strategy for c in chosen) == {"random": 4, "disagreement": 16}
    drawn = names(chosen, "random")
    left = [f"p{i}" for i in range(100) if f"p{i}" not in drawn]
    assert names(chosen, "disagreement") == set(left[-16:])
    assert {c.probability for c in chosen if c.strategy == "random"} == {4 / 100}
    assert {c.probability for c in chosen if c.strategy != "random"} == {1.0}


def test_every_row_is_as_likely_as_its_probability_to_be_drawn_at_random():
    rows = [scored(f"p{i}", float(i), -float(i)) for i in range(10)]
    met = Counter[str]()
    for seed in range(2000):
        met.update(names(choose(rows, 4, random_share=0.5, seed=seed), "random"))
    assert all(abs(met[f"p{i}"] / 2000 - 0.2) < 0.04 for i in range(10))


def test_of_more_than_two_texts_the_pair_is_chosen_too():
    three = row("k", (5.0, -5.0), (0.0, 0.0), (0.1, -0.1))
    assert choose([three], 1)[0].sides == (0, 1)
    at_random = Counter(choose([three], 1, "random", seed=s)[0].sides for s in range(900))
    assert set(at_random) == {(0, 1), (0, 2), (1, 2)}
    assert min(at_random.values()) > 230
    assert choose([three], 1, "random")[0].probability == pytest.approx(1 / 3)


def test_double_thompson_meets_the_favourites_of_two_members():
    scores = [(3.0, 0.0, 0.0), (0.0, 3.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 3.0)]
    pairs = tuple((i, j) for i in range(4) for j in range(i + 1, 4))
    met = Counter(thompson_pair(scores, pairs, random.Random(seed)) for seed in range(600))
    assert set(met) == {(0, 1), (0, 3), (1, 3)}
    assert min(met.values()) > 150
    assert thompson_pair([(2.0, 3.0), (1.0, 0.0)], ((0, 1),), random.Random(1)) is None


def test_double_thompson_takes_rows_of_unlike_favourites_first_and_fills_up_with_the_others():
    rows = [scored(f"alike {i}", 1.0, 2.0) for i in range(20)]
    rows += [scored(f"unlike {i}", 1.0, -1.0) for i in range(5)]
    assert names(choose(rows, 5, "double_thompson")) == {f"unlike {i}" for i in range(5)}
    chosen = choose(rows, 8, "double_thompson")
    assert {c.strategy for c in chosen} == {"double_thompson"}
    assert len(names(chosen)) == 8


def test_the_random_strategy_asks_no_reward_model():
    rows = [scored(f"p{i}", float(i), -float(i)) for i in range(50)]
    chosen = choose(rows, 10, "random", random_share=0.2)
    assert {(c.strategy, c.probability) for c in chosen} == {("random", 10 / 50)}
    assert names(chosen) != {f"p{i}" for i in range(40, 50)}


@pytest.mark.parametrize("scores", [(), (1.0,)])
def test_without_two_members_every_pair_is_random(scores):
    rows = [row(str(i), scores, scores) for i in range(10)]
    for strategy in STRATEGIES:
        assert [c.strategy for c in choose(rows, 5, strategy)] == ["random"] * 5


def test_texts_that_are_the_same_ask_nothing():
    same = {"prompt_id": "s", "completions": [{"text": "t"}, {"text": "t"}]}
    assert choose([same], 5) == []
    third = {"prompt_id": "s", "completions": [{"text": "t"}, {"text": "t"}, {"text": "u"}]}
    assert choose([third], 5)[0].sides in {(0, 2), (1, 2)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_chooses_the_same_pairs(strategy):
    rows = [scored(f"p{i}", i / 7, -i / 9) for i in range(50)]
    assert choose(rows, 9, strategy, 0.3, 4) == choose(rows, 9, strategy, 0.3, 4)


def test_the_words_say_how_many_were_chosen_how():
    rows = [scored(f"p{i}", i / 10, -i / 10) for i in range(100)]
    chosen = choose(rows, 20, "expected_information", 0.25)
    assert chosen_words(chosen) == "5 at random, 15 by expected information"
    assert set(STRATEGIES) <= set(SELECTION_WORDS)
