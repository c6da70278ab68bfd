"""A smaller form of `benchmarks.planted_truths`: one seed, fewer words and pairs, wider bounds."""

import random

import pytest

from benchmarks import planted_truths
from benchmarks.planted_truths import (
    TIE_ETA,
    VOTES,
    World,
    majority,
    pairs_drawn,
    seed_measure,
    sigmoid,
    voted,
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planted_truths, "WORDS", planted_truths.WORDS[:10])  # few, for few pairs
        patch.setattr(planted_truths, "SHARE", 1.0)
        patch.setattr(planted_truths, "CHECKED", 300)
        patch.setattr(planted_truths, "SEEN", 4000)
        patch.setattr(planted_truths, "RATE", 0.06)
        return seed_measure(2, 500, tmp_path_factory.mktemp("planted"))


def test_linear_utility_is_recovered(found):
    assert found.spearman > 0.85


def test_swapped_labels_flip_the_sign(found):
    assert found.spearman_swapped < -0.85


def test_planted_temperature_is_found_again(found):
    assert found.temperature == pytest.approx(2, rel=0.25)


def test_planted_tie_threshold_is_found_again(found):
    assert found.tie_eta == pytest.approx(TIE_ETA, rel=0.25)


def test_noise_costs_less_with_soft_labels_than_with_hard_ones(found):
    assert found.noise["posterior"]["cost"] < found.noise["hard"]["cost"]
    assert found.noise["none"]["cost"] == 0


def test_raters_err_in_a_quarter_of_their_votes_and_majorities_less():
    generator = random.Random(3)
    rows = [row | {"preference": 1.0} for row in pairs_drawn(generator, "train", 4000)]
    votes = voted(rows, generator)
    assert len(votes) == VOTES * len(rows)
    wrong = sum(vote["preference"] == 0.0 for vote in votes) / len(votes)
    assert wrong == pytest.approx(0.25, abs=0.02)
    assert sum(row["preference"] == 0.0 for row in majority(votes)) / len(rows) < wrong - 0.05


def test_worlds_judge_by_the_worth_of_words():
    world = World({"ab": 1.0, "el": -0.5})
    row = {"completions": ["ab el", "el el"]}
    assert world.difference(row) == pytest.approx(1.5)
    assert sigmoid(0.0) == 0.5
