from __future__ import annotations

import math

import pytest

from outerloop.rounds.selection import disagreement, pairs_choose


def row(name, first=("a", {}), second=("b", {})):
    sides = [{"text": f"{text} {name}", "scores": scores} for text, scores in (first, second)]
    return {"prompt_id": name, "completions": sides}


def scored(name, gap_of_member_0, gap_of_member_1):
    """Member k says that the first completion is better by the given gap (in logits)."""
    zero = {"rm/member_0": 0.0, "rm/member_1": 0.0, "rm": 0.0}
    first = {"rm/member_0": gap_of_member_0, "rm/member_1": gap_of_member_1, "rm": 0.0}
    return row(name, ("a", first), ("b", zero))


def test_disagreement_is_the_spread_of_the_members_chances():
    p = 1 / (1 + math.exp(-2.0))
    assert disagreement(scored("x", 2.0, -2.0)) == pytest.approx((p - (1 - p)) / 2)
    assert disagreement(scored("x", 2.0, 2.0)) == pytest.approx(0.0)


def test_disagreement_needs_two_members():
    assert disagreement(row("x")) is None


def test_a_stated_share_is_random_and_the_rest_are_the_most_disputed():
    rows = [scored(f"p{i}", i / 10, -i / 10) for i in range(100)]
    chosen = pairs_choose(rows, wanted=20, random_share=0.2, seed=1)
    by_strategy = [c.strategy for c in chosen]
    assert by_strategy.count("random") == 4
    drawn = {c.row["prompt_id"] for c in chosen if c.strategy == "random"}
    left = [r for r in rows if r["prompt_id"] not in drawn]
    most = {r["prompt_id"] for r in sorted(left, key=lambda r: disagreement(r) or 0.0)[-16:]}
    assert {c.row["prompt_id"] for c in chosen if c.strategy != "random"} == most
    assert {c.probability for c in chosen if c.strategy == "random"} == {4 / 100}


def test_without_scores_every_pair_is_random():
    chosen = pairs_choose([row(str(i)) for i in range(10)], wanted=5, random_share=0.2, seed=1)
    assert [c.strategy for c in chosen] == ["random"] * 5


def test_a_pair_of_equal_texts_asks_nothing():
    same = {"prompt_id": "s", "completions": [{"text": "t"}, {"text": "t"}]}
    assert pairs_choose([same], wanted=5, random_share=0.2, seed=1) == []


def test_the_same_seed_chooses_the_same_pairs():
    rows = [row(str(i)) for i in range(50)]
    first, second = (pairs_choose(rows, wanted=9, random_share=1.0, seed=4) for _ in range(2))
    assert first == second
