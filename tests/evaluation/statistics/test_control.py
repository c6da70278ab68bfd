"""Predictions taken from outcomes: the numbers by hand, and that no prediction makes the game unfair."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.control import (
    LARGEST_COEFFICIENT,
    ControlledOutcomes,
    Differences,
    control_outcomes,
    controlled_differences,
)
from evaluation.statistics.people import people_e_process
from evaluation.statistics.win_rate import win_rate_evidence

AIM = Aim(level=0.05, labels=4)
MISSING = math.nan


def controlled(
    x: list[float], d: list[float], *, block: int = 1, null: float = 0.5
) -> ControlledOutcomes:
    return control_outcomes(x, Differences(np.array(d), len(d)), null=null, block=block)


def test_each_label_has_its_own_share_of_the_reference() -> None:
    found = controlled_differences([0.9, 0.4, 0.5], [0.1, 0.3, 0.6, 0.8, 0.2, 0.4], labels=3)
    assert found.values == pytest.approx([0.9 - 0.2, 0.4 - 0.7, 0.5 - 0.3])
    assert found.reference == 6


def test_a_reference_that_does_not_go_round_is_spread_evenly() -> None:
    found = controlled_differences([0.9] * 4, [0.5, 0.7], labels=4)
    assert found.values == pytest.approx([0.0, 0.4, 0.0, 0.2])
    early = controlled_differences([0.9] * 2, [0.5, 0.7], labels=4)
    assert (list(early.values), early.reference) == (list(found.values[:2]), 1)


def test_labels_beyond_the_aim_have_no_reference_left() -> None:
    found = controlled_differences([0.9, 0.9, 0.9], [0.5, 0.5], labels=2)
    assert found.values == pytest.approx([0.4, 0.4, 0.0])
    assert list(controlled_differences([0.9], [], labels=10).values) == [0.0]


@pytest.mark.parametrize("no_share", [math.nan, math.inf, -math.inf, -0.1, 1.1])
def test_what_is_no_prediction_leaves_the_outcome_as_it_is(no_share: float) -> None:
    assert list(controlled_differences([no_share, 0.5], [0.4, 0.4], labels=2).values) == (
        pytest.approx([0.0, 0.1])
    )
    assert list(controlled_differences([0.5], [no_share, 0.3], labels=1).values) == (
        pytest.approx([0.2])
    )


def test_the_coefficient_is_the_shrunken_slope_of_the_labels_before() -> None:
    x, d = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0], [0.4, -0.4, 0.4, -0.4, 0.3, 0.1]
    found = controlled(x, d, block=2)
    # after 2 labels: slope 0.4 / 0.32, se^2 = 0.25 / 0.32; after 4 the slope is the same, se^2 half of it
    assert found.coefficients == pytest.approx(
        [0, 0, 1.25 - 0.78125 / 1.25, 1.25 - 0.625, 1.25 - 0.3125, 1.25 - 0.3125]
    )
    assert found.values[5] == pytest.approx(0.0 - 0.9375 * 0.1)
    assert found.bounded[4] == pytest.approx(0.5 + (1 - 0.9375 * 0.3 - 0.5) / (1 + 0.9375 / 0.5))


def test_predictions_that_help_narrow_and_those_that_do_not_count_nothing() -> None:
    x, d = [1.0, 0.0] * 100, [0.3, -0.3] * 100
    assert controlled(x, d).coefficients[-1] > 1.5
    assert controlled(x, d).values[20:].std() < 0.1
    for useless in ([-0.3, 0.3] * 100, [0.0] * 200, [0.3, 0.3, -0.3, -0.3] * 50):
        assert list(controlled(x, useless).coefficients[40:]) == [0.0] * 160


def test_predictions_whose_pairs_are_not_like_the_reference_count_nothing() -> None:
    x = [1.0, 0.0] * 50
    assert (
        controlled(x, [0.4, -0.1] * 50).coefficients[-1] == 0.0
    )  # far above the reference on average
    assert controlled(x, [0.3, -0.3] * 50).coefficients[-1] > 0.0


def test_as_many_predictions_as_outcomes_are_needed() -> None:
    with pytest.raises(ValueError, match="2 outcomes but 1 predictions"):
        controlled([1.0, 0.0], [0.1])


LABEL = st.tuples(st.sampled_from([0.0, 1 / 6, 0.5, 1.0]), st.floats(-1, 1))
LABELS = st.lists(LABEL, min_size=1, max_size=40)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(LABELS, st.integers(1, 8), st.integers(0, 39), st.sampled_from([0.5, 0.55, 0.6]))
def test_no_coefficient_knows_the_labels_that_it_weighs(
    labels: list[tuple[float, float]], block: int, at: int, null: float
) -> None:
    """Whatever is answered from some label on, the coefficients up to the end of its block stay."""
    x, d = [x for x, _ in labels], [d for _, d in labels]
    at = at % len(x)
    changed = [*x[:at], *(1.0 - value for value in x[at:])]
    before, after = controlled(x, d, block=block), controlled(changed, d, block=block)
    known = (at // block + 1) * block
    assert list(before.coefficients[:known]) == list(after.coefficients[:known])
    for found in (before, after):
        assert ((found.bounded >= 0) & (found.bounded <= 1)).all()
        assert ((found.coefficients >= 0) & (found.coefficients <= LARGEST_COEFFICIENT)).all()
        assert all(
            len(set(found.coefficients[i : i + block])) == 1 for i in range(0, len(x), block)
        )


# How pairs are drawn: (chance, prediction, outcome's mean) of two kinds of pairs, even on the whole.
KINDS = {
    "missing": [(0.5, MISSING, 0.2), (0.5, 0.7, 0.8)],
    "all missing": [(0.5, MISSING, 0.2), (0.5, MISSING, 0.8)],
    "constant": [(0.5, 0.7, 0.1), (0.5, 0.7, 0.9)],
    "perfect": [(0.5, 0.0, 0.0), (0.5, 1.0, 1.0)],
    "perfectly wrong": [(0.5, 1.0, 0.0), (0.5, 0.0, 1.0)],
    "rare and sure": [(0.9, 0.4, 4 / 9), (0.1, 1.0, 1.0)],
    "faint": [(0.5, 0.49, 0.0), (0.5, 0.51, 1.0)],
    "out of bounds": [(0.5, 7.0, 0.3), (0.5, 0.9, 0.7)],
}


def expected_capital(kinds: list[tuple[float, float, float]], labels: int) -> tuple[float, float]:
    """The mean of the last e-value over every course that a round can take, by its probability; and the
    largest coefficient that any of them met."""
    answers = [
        (chance * (rate if won else 1 - rate) * other, prediction, won, reference)
        for chance, prediction, rate in kinds
        for won in (0.0, 1.0)
        for other, reference, _ in kinds
    ]
    total, largest = 0.0, 0.0
    for course in itertools.product([a for a in answers if a[0] > 0], repeat=labels):
        chance, g, x, reference = (list(part) for part in zip(*course, strict=True))
        differences = controlled_differences(g, reference, labels=labels)
        found = control_outcomes(x, differences, null=0.5, block=1)
        total += math.prod(chance) * float(hedged_e_process(found.bounded, aim=AIM)[-1])
        largest = max(largest, float(found.coefficients.max()))
    return total, largest


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_no_way_to_predict_makes_the_bets_worth_more_than_they_cost(
    kinds: list[tuple[float, float, float]],
) -> None:
    """Exactly, over all courses that a short round can take: evidence of 1 stays 1 on average."""
    assert sum(chance * rate for chance, _, rate in kinds) == pytest.approx(0.5)
    sure = all(rate in (0.0, 1.0) for _, _, rate in kinds)
    capital, coefficient = expected_capital(kinds, labels=5 if sure else 3)
    assert capital == pytest.approx(1.0)
    known = [(chance, g, rate) for chance, g, rate in kinds if 0 <= g <= 1]
    mean = sum(chance * g for chance, g, _ in known)
    helps = len(known) > 1 and sum(c * (g - mean) * rate for c, g, rate in known) > 0
    assert (coefficient > 0) == helps  # the bets were made on predictions, where they are right


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(st.floats(0.05, 0.95), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_nor_does_any_other(chance: float, first: float, second: float, rate: float) -> None:
    """Two kinds of pairs at will; the second's rate makes the whole at most even."""
    rest = min(1.0, max(0.0, (0.5 - chance * rate) / (1 - chance)))
    if chance * rate + (1 - chance) * rest > 0.5 + 1e-12:
        rate = 0.5 * rate
        rest = min(1.0, (0.5 - chance * rate) / (1 - chance))
    kinds = [(chance, first, rate), (1 - chance, second, rest)]
    assert expected_capital(kinds, labels=3)[0] <= 1.0 + 1e-9


def test_the_mean_of_the_pool_itself_would_be_no_fair_game() -> None:
    """What the reference is for: with perfect predictions of six pairs, four of them labelled."""
    total = 0.0
    for pool in itertools.product([0.0, 1.0], repeat=6):
        x = list(pool[:4])
        d = Differences(np.array(x) - np.mean(pool), 0)
        z = control_outcomes(x, d, null=0.5, block=1).bounded
        total += float(hedged_e_process(z, aim=AIM)[-1]) / 2**6
    assert total > 1.001  # the last digit of a fair game is far below that: see above


def even_rounds(predict: str, draws: int, labels: int) -> float:
    """Share of even candidates that are shown, counted by annotator, however their labels are predicted."""
    rng, shown = np.random.default_rng(11), 0
    aim = Aim(0.05, labels)
    who = [f"{i % 24}" for i in range(labels)]
    for _ in range(draws):
        pairs = rng.random(3 * labels)
        answers = (rng.random(3 * labels) < pairs).astype(float)
        g = {
            "leaked": answers,  # what each pair's annotator would say, labelled or not
            "the other way round": 1 - pairs,
            "as it is": pairs,
            "half missing": np.where(rng.random(3 * labels) < 0.5, pairs, MISSING),
            "steps": np.round(pairs),
        }[predict]
        d = controlled_differences(g[:labels], g[labels:], labels=labels)
        y = control_outcomes(answers[:labels], d, null=0.5, block=8).values
        shown += bool((people_e_process(y, who, aim=aim, block=8) >= 1 / aim.level).any())
    return shown / draws


@pytest.mark.parametrize(
    "predict", ["leaked", "the other way round", "as it is", "half missing", "steps"]
)
def test_an_even_candidate_is_shown_no_oftener_than_the_level_says(predict: str) -> None:
    assert even_rounds(predict, draws=250, labels=96) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 250)


def test_predictions_without_labels_are_no_evidence() -> None:
    with pytest.raises(ValueError, match="at least one outcome"):
        control_outcomes([], controlled_differences([], [0.9] * 50, labels=5), null=0.5, block=1)


def test_predictions_alone_move_nothing() -> None:
    """All ties, foreseen as sure wins: the evidence is that of ties."""
    people = [f"{i % 8}" for i in range(80)]
    told: dict[str, Any] = {"aim": Aim(0.05, 80), "hypothesis": "population", "block": 8}
    plain = win_rate_evidence([0.5] * 80, people, **told)
    foreseen = controlled_differences([1.0] * 80, [0.1, 0.9] * 80, labels=80)
    sure = win_rate_evidence([0.5] * 80, people, differences=foreseen, **told)
    assert (sure.e_value, sure.max_e_value) == (plain.e_value, plain.max_e_value)
    assert plain.control is None
    assert sure.control is not None
    assert (sure.control.coefficient, sure.control.labels_saved) == (0.0, 0)


def test_labels_that_are_foreseen_are_evidence_sooner() -> None:
    """The evidence, its bounds and what it says of itself, against the parts by hand."""
    rng = np.random.default_rng(2)
    pairs = rng.random(1200)
    x = (rng.random(400) < np.clip(pairs[:400] + 0.06, 0, 1)).astype(float)
    people = [f"{i % 25}" for i in range(400)]
    for hypothesis in ("population", "panel"):
        told: dict[str, Any] = {"aim": Aim(0.03, 400), "hypothesis": hypothesis, "block": 8}
        plain = win_rate_evidence(x, people, **told)
        foreseen = controlled_differences(pairs[:400], pairs[400:], labels=400)
        found = win_rate_evidence(x, people, differences=foreseen, **told)
        control = found.control
        assert control is not None
        assert control.reference == 800
        assert control.coefficient == pytest.approx(
            2 / 3, abs=0.15
        )  # 1 in a perfect reference, r = 2
        assert control.labels_saved > 30
        assert control.correlation == pytest.approx(0.577 * math.sqrt(2 / 3), abs=0.1)
        if hypothesis == "population":
            last, before = found.trajectory[-1], plain.trajectory[-1]
            assert last.high - last.low < before.high - before.low


def test_the_correlation_is_of_the_labels_that_a_prediction_touched():
    """0 stands for "no prediction": three touched outcomes by hand, and the same with untouched ones between."""
    touched = Differences(np.array([1.0, -1.0, 0.0, 0.5]), 4)
    outcomes = np.array([1.0, 0.0, 1.0, 1.0])
    expected = np.corrcoef([1.0, 0.0, 1.0], [1.0, -1.0, 0.5])[0, 1]
    assert touched.correlation(outcomes) == pytest.approx(expected)
    assert Differences(np.zeros(3), 0).correlation(outcomes[:3]) == 0.0
