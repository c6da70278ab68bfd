"""What labelling takes, against counts by hand and a simulation."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from annotation.statistics.overlap import asks_again
from evaluation.statistics.design import LabellingQuestion, labelling_design
from evaluation.statistics.planning import fixed_sample_labels, labels_for_power

# right 0.8 of the time: 0.64 + 0.04
ASKED = LabellingQuestion(
    agreement=0.68, effect=0.6, level=0.05, people=10, pairs=1000, overlap=3, sample_share=0.1,
    sample_size=3, labels_a_day=250, cost_a_label=0.5,
)  # fmt: skip


def test_three_votes_a_pair_by_hand():
    found = labelling_design(ASKED)
    assert found.votes_a_pair == pytest.approx(3)
    assert found.majority_right == pytest.approx(0.8**3 + 3 * 0.8**2 * 0.2)
    assert found.training_labels == 3000
    assert found.gate_labels == labels_for_power(0.6, level=0.05, people=10)
    assert found.gate_limit == fixed_sample_labels(0.6, level=0.05)
    assert found.labels == 3000 + found.gate_labels
    assert found.days == math.ceil(found.labels / 250)
    assert found.cost == found.labels / 2


def test_a_draw_is_right_half_the_time():
    assert labelling_design(replace(ASKED, overlap=2)).majority_right == pytest.approx(
        0.64 + 0.32 / 2
    )


def test_two_of_a_kind_first_by_hand():
    """Sure at 0.8 and five at most: 2-0, 3-1, or whoever leads after five."""
    found = labelling_design(replace(ASKED, sure=0.8, sample_share=0.0))
    p, q = 0.8, 0.2
    after_two, after_four = p * p + q * q, 2 * p * q * (p * p + q * q)
    assert found.votes_a_pair == pytest.approx(
        2 * after_two + 4 * after_four + 5 * (1 - after_two - after_four)
    )
    assert found.training_labels == round(1000 * found.votes_a_pair)


def test_courses_and_reach_are_those_of_a_simulation():
    rng = np.random.default_rng(5)
    asked = replace(ASKED, sure=0.9, most=7, overlap=1, sample_size=4)
    found = labelling_design(asked)
    votes, right = [], []
    for row in rng.random((20_000, 7)) < 0.8:
        n = next(
            (
                n
                for n in range(1, 7)
                if not asks_again(int(row[:n].sum()), 0, int(n - row[:n].sum()), sure=0.9, most=7)
            ),
            7,
        )
        votes.append(n)
        right.append(np.sign(2 * row[:n].sum() - n) / 2 + 0.5)
    assert found.votes_a_pair == pytest.approx(np.mean(votes), abs=0.03)
    assert found.majority_right == pytest.approx(np.mean(right), abs=0.01)
    good = rng.binomial(4, 0.8, (20_000, 100))
    shares = ((good * (good - 1) + (4 - good) * (3 - good)) / 12).mean(1)
    assert found.sample_pairs == 100
    assert found.agreement_reach == pytest.approx(1.96 * shares.std(), rel=0.03)


def test_without_pairs_of_several_votes_agreement_is_not_measured():
    for changes in ({"sample_share": 0.0}, {"overlap": 1, "sample_size": 1}, {"pairs": 0}):
        assert labelling_design(replace(ASKED, **changes)).agreement_reach is None


@pytest.mark.parametrize(
    ("name", "says", "good", "bad"),
    [
        ("agreement", "between 0.5 (chance) and 1", (0.5, 1.0), (0.49, 1.01)),
        ("effect", "above 0.5 and below 1", (0.51, 0.99), (0.5, 1.0)),
        ("level", "between 0 and 1", (0.01, 0.99), (0.0, 1.0)),
        ("ties", "from 0 to below 1", (0.0, 0.99), (-0.1, 1.0)),
        ("sure", "above 0.5 and below 1", (None, 0.51, 0.99), (0.5, 1.0)),
        ("sample_share", "from 0 to 1", (0.0, 1.0), (-0.1, 1.1)),
        ("people", "from 2 to 100,000", (2, 100_000), (1, 100_001)),
        ("pairs", "from 0 to 1,000,000,000", (0, 10**9), (-1, 10**9 + 1)),
        ("overlap", "from 1 to 100", (1, 100), (0, 101)),
        ("most", "from 2 to 100", (2, 100), (1, 101)),
        ("sample_size", "from 1 to 100", (1, 100), (0, 101)),
        ("labels_a_day", "above 0", (0.1, 1e6), (0.0, math.inf, math.nan)),
        ("cost_a_label", "0 or above", (0.0, 9.5), (-0.1, math.inf, math.nan)),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, says, good, bad):
    for value in good:
        assert getattr(replace(ASKED, **{name: value}), name) == value
    for value in bad:
        sentence = f"{name.replace('_', '-')} must be {says}, not {value!r}."
        with pytest.raises(ValueError, match="^" + re.escape(sentence) + "$"):
            replace(ASKED, **{name: value})
