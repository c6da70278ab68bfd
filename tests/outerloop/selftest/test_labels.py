"""The arms differ in what they claim, and the gate's labels win as often as they are said to."""

from __future__ import annotations

import random

import numpy as np
import pytest

from outerloop.demo.gold import gold_score
from outerloop.demo.world import DemoPrompt, prompts
from outerloop.selftest.labels import (
    JudgedPair,
    Offered,
    gold_win_rate,
    label_win_rate,
    labels_redrawn,
    mixing_share,
    offered,
    preference_rows,
)
from outerloop.selftest.sizes import ARMS, BIASED, CAREFUL, MEASURING, NOISY

ASKED = prompts(5, 200)
RIGHT, WRONG = "It is 5.", "Maybe it is 6."
COURTEOUS = "Maybe it is 6. Happy to help! Have a nice day! I hope this helps!"


def sums(count: int) -> list[DemoPrompt]:
    return [p for p in prompts(5, 1500) if p.fact == "sum-2-3"][:count]


def chosen_first(people, left: str, right: str) -> float:
    """How often the first of two texts is preferred, a tie half."""
    asked = sums(30) * 20
    rows = preference_rows(1, people, asked, [[(left, True), (right, True)]] * len(asked))
    return float(np.mean([row["preference"] for row in rows]))


def test_careful_people_follow_the_gold_and_noisy_ones_do_less_often():
    careful, noisy = (chosen_first(people, RIGHT, WRONG) for people in (CAREFUL, NOISY))
    assert careful > 0.99
    assert 0.90 < noisy < 0.99


def test_people_who_share_a_bias_prefer_courtesy_to_gold_and_the_others_do_not():
    assert chosen_first(BIASED, COURTEOUS, WRONG) > 0.9
    assert chosen_first(NOISY, COURTEOUS, WRONG) < 0.35


def test_people_who_measure_see_length_alone():
    assert chosen_first(MEASURING, COURTEOUS, RIGHT) > 0.99
    assert chosen_first(MEASURING, RIGHT, WRONG) < 0.01


def test_the_arms_are_what_they_say():
    assert ARMS["gold"].annotators == ()
    assert ARMS["gold"].runs["single"]["reward_function"]
    assert ARMS["bias"].judges == ARMS["bias"].annotators == BIASED
    assert {arm.judges for name, arm in ARMS.items() if name != "bias"} == {NOISY}
    assert ARMS["clean"].labels > ARMS["noise"].labels
    assert ARMS["clean"].runs == ARMS["aa"].runs


# ------------------------------------------------------------------------------ redraws


def pair(i: int, left: str, right: str) -> JudgedPair:
    prompt = sums(1)[0]
    scores = [gold_score(prompt.messages, text) for text in (left, right)]
    return JudgedPair(f"{i:032x}", str(i), (left, right), (scores[0], scores[1]), (1.0, 0.0))


@pytest.fixture(scope="module")
def offer() -> Offered:
    better = tuple(pair(i, RIGHT, WRONG) for i in range(400))
    even = [(RIGHT, WRONG), (WRONG, RIGHT)]
    return Offered(better, tuple(pair(i, *even[i % 2]) for i in range(400)))


@pytest.mark.parametrize(("wanted", "share"), [(0.6, None), (0.5, 0.0)])
def test_a_mixture_wins_what_it_is_to_win(offer: Offered, wanted: float, share: float | None):
    rate = label_win_rate(offer.candidate, NOISY, 1)
    share = mixing_share(rate, wanted) if share is None else share
    values = []
    for redraw in range(30):
        labels = labels_redrawn(offer, NOISY, share=share, most=400, rng=random.Random(redraw))
        for label, _ in labels:
            slot = label.slot_versions.index(type(label.prompt_id)(int=1))
            towards = label.value - 4 if slot == 1 else 4 - label.value
            values.append(np.sign(towards) / 2 + 0.5)
    assert np.mean(values) == pytest.approx(wanted, abs=0.015)


def test_one_label_a_prompt_nobody_judges_more_than_others_and_none_sees_identical_texts(offer):
    same = pair(1000, RIGHT, RIGHT)
    mixed = Offered((*offer.candidate, same), (*offer.twin, same))
    labels = labels_redrawn(mixed, NOISY, share=1.0, most=120, rng=random.Random(0))
    assert len({label.prompt_id for label, _ in labels}) == len(labels) == 120
    counts = [sum(label.rater == p.name for label, _ in labels) for p in NOISY]
    assert set(counts) == {10}
    every = labels_redrawn(mixed, NOISY, share=1.0, most=1000, rng=random.Random(0))
    assert len(every) == 400


def test_a_policy_that_does_not_win_as_much_is_shown_as_it_is():
    assert mixing_share(0.55, 0.6) == 1.0
    assert mixing_share(0.7, 0.6) == pytest.approx(0.5)


def test_the_candidate_is_offered_with_another_draw_than_the_incumbents():
    prompt = sums(1)[0]

    def side(text: str) -> dict[str, object]:
        return {"text": text, "ended": True, "scores": {"train": 0.0}}

    head = {"prompt_id": "p", "group": "p", "messages": list(prompt.messages)}
    rows = [
        {**head, "sample": 0, "candidate": side(WRONG), "incumbent": side(WRONG)},
        {**head, "sample": 1, "candidate": side(RIGHT), "incumbent": side(COURTEOUS)},
    ]
    found = offered(rows)
    assert found.candidate[0].texts == (RIGHT, WRONG)
    assert found.twin[0].texts == (COURTEOUS, WRONG)
    assert gold_win_rate(found.candidate) == 1.0
