"""Simulated annotators: Bradley-Terry on gold, with habits; the same dice in every process."""

from __future__ import annotations

import math
import random
from statistics import mean

import pytest

from outerloop.demo.annotators import (
    ANNOTATORS,
    SimulatedAnnotator,
    annotator_named,
    annotator_rng,
    judge,
)

SUM = [{"role": "user", "content": "What is 7 plus 4?"}]
RIGHT, HEDGED, WRONG = "It is 11.", "I think it is 11.", "It is 12."
FAIR = SimulatedAnnotator("fair", beta=2.0, per_ten_tokens=0, per_courtesy=0, lapse_rate=0)


def choices(annotator, left, right, n=4000):
    return [
        judge(annotator, SUM, left, right, annotator_rng(1, annotator.name, i)) for i in range(n)
    ]


def test_the_chance_to_prefer_follows_bradley_terry():
    # Gold 2.0 against 1.6, beta 2: sigmoid(0.8) = 0.690; one standard error is 0.0073.
    share = mean(j.scale < 4 for j in choices(FAIR, RIGHT, HEDGED))
    assert share == pytest.approx(1 / (1 + math.exp(-0.8)), abs=0.03)


def test_sides_do_not_matter():
    left = mean(j.scale < 4 for j in choices(FAIR, RIGHT, HEDGED))
    right = mean(j.scale > 4 for j in choices(FAIR, HEDGED, RIGHT))
    assert left == pytest.approx(right, abs=0.04)


def test_a_wide_margin_reads_as_much_better():
    strong = mean(j.scale == 1 for j in choices(FAIR, RIGHT, WRONG))
    close = mean(j.scale == 1 for j in choices(FAIR, RIGHT, HEDGED))
    assert strong > 0.7 > 0.2 > close


def test_identical_texts_tie_unless_the_annotator_lapses():
    assert {j.scale for j in choices(FAIR, RIGHT, RIGHT)} == {4}
    lapsing = choices(ANNOTATORS[0], RIGHT, RIGHT)
    # 2 % lapses, six of whose seven outcomes are no tie.
    assert mean(j.scale != 4 for j in lapsing) == pytest.approx(0.02 * 6 / 7, abs=0.01)


def test_courtesy_wins_over_a_fond_annotator_although_gold_dislikes_it():
    plain, courteous = RIGHT, f"{RIGHT} Happy to help! Have a nice day!"
    dan = annotator_named("dan")
    assert mean(j.scale > 4 for j in choices(dan, plain, courteous)) > 0.55
    assert mean(j.scale > 4 for j in choices(FAIR, plain, courteous)) < 0.5


def test_both_bad_is_said_of_two_bad_texts_only():
    assert mean(j.both_bad for j in choices(FAIR, WRONG, "It is 13.")) == pytest.approx(
        0.9, abs=0.03
    )
    assert not any(j.both_bad for j in choices(FAIR, RIGHT, WRONG))


def test_the_dice_depend_on_seed_annotator_and_comparison_only():
    first = judge(FAIR, SUM, RIGHT, WRONG, annotator_rng(1, "fair", "c7"))
    assert first == judge(FAIR, SUM, RIGHT, WRONG, annotator_rng(1, "fair", "c7"))
    draws = {annotator_rng(s, a, c).random() for s in (1, 2) for a in "xy" for c in (7, 8)}
    assert len(draws) == 8


def test_time_grows_with_length():
    short = mean(j.seconds for j in choices(FAIR, RIGHT, WRONG, 300))
    long = mean(j.seconds for j in choices(FAIR, RIGHT * 8, WRONG * 8, 300))
    assert 2 < short < long


def test_an_unknown_annotator_is_named():
    with pytest.raises(ValueError, match="no simulated annotator 'zoe'"):
        annotator_named("zoe")


def test_scale_is_always_on_the_seven_steps():
    rng = random.Random(0)
    assert {judge(a, SUM, RIGHT, WRONG, rng).scale for a in ANNOTATORS for _ in range(500)} <= set(
        range(1, 8)
    )
