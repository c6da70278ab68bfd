"""The judge beside people: worked out by hand, by an independent formula, and on drawn worlds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.statistics.intervals import (
    cluster_codes,
    cluster_share_interval,
    cluster_variance,
)
from evaluation.statistics.judging import (
    agreement_interval,
    corrected_win_rate,
    longer_excess_interval,
    longer_share_interval,
    share_or_none,
)
from evaluation.statistics.quantiles import t_quantile
from tests.support.given import given as known

VALUE = st.sampled_from([0.0, 0.5, 1.0])


def test_the_corrected_win_rate_by_hand():
    """f = 1, 1, 0, 1/2 of mean 5/8; people say 1 and 0 of the first two: their mean gap is -1/2."""
    found = corrected_win_rate([1, 1, 0, 0.5], [1, 0, None, None], "abcd", ["x", "y", None, None])
    assert found.estimate == pytest.approx(0.125)
    # psi = (3/8)/4 + (0 + 1/2)/2, (3/8)/4 + (-1 + 1/2)/2, (-5/8)/4, (-1/8)/4; all clusters are single
    psi = [0.34375, -0.15625, -0.15625, -0.03125]
    variance = 4 / 3 * sum(p * p for p in psi)
    assert variance == pytest.approx(0.2239583, abs=1e-7)
    assert t_quantile(0.975, 1) * math.sqrt(variance) > 6  # two people: all is possible
    assert (found.low, found.high, found.n) == (0.0, 1.0, 2)


def test_its_interval_by_hand():
    """Ten single pairs, all labelled by ten people; f = y but once, where f = 1 and y = 0."""
    judged = [1.0, 0.0] * 5
    people: list[float | None] = [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    found = corrected_win_rate(judged, people, range(10), range(10))
    # psi = (y - 0.4) / 10: four of 0.06 and six of -0.04, with 10/9 before their squares
    variance = 10 / 9 * (4 * 0.06**2 + 6 * 0.04**2)
    spread = 2.262157 * math.sqrt(variance)  # t with 9 degrees of freedom
    assert found.estimate == pytest.approx(0.4)
    assert (found.low, found.high) == pytest.approx((0.4 - spread, 0.4 + spread), abs=1e-6)


def test_a_judge_who_erred_on_none_of_the_labels_may_err_yet():
    """All values are 1: nothing varies, and 3.8415 / (20 + 3.8415) stays to either side."""
    people = [1.0] * 20 + [None] * 200
    raters = [f"r{i}" for i in range(20)] + [None] * 200
    found = corrected_win_rate([1.0] * 220, people, range(220), raters)
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - 0.161126, abs=1e-5)


def test_with_labels_on_every_pair_it_is_the_win_rate_of_people():
    """Whatever the judge says: theta = mean f + mean (y - f) = mean y, with the two-way variance of that mean."""
    rng = np.random.default_rng(3)
    people = rng.choice([0.0, 0.5, 1.0], 240)
    groups, raters = [f"g{i // 2}" for i in range(240)], [f"r{i % 48}" for i in range(240)]
    kinds = (groups, raters, list(zip(groups, raters, strict=True)))
    one, other, both = (cluster_variance(people, *cluster_codes(kind)) for kind in kinds)
    spread = t_quantile(0.975, 47) * math.sqrt(one + other - both)
    for judged in (rng.choice([0.0, 1.0], 240), np.ones(240), 1 - people):
        found = corrected_win_rate(judged, people.tolist(), groups, raters)
        assert found.estimate == pytest.approx(people.mean())
        assert found.high - found.low == pytest.approx(2 * spread)


def test_a_judge_who_is_always_right_is_worth_a_label_on_every_pair():
    """y = f: the gap is nothing, and what is left is the spread of the judge's values over N pairs."""
    rng = np.random.default_rng(4)
    values = rng.choice([0.0, 1.0], 400, p=[0.4, 0.6])
    people = [float(v) if i < 80 else None for i, v in enumerate(values)]
    raters = [f"r{i}" if i < 80 else None for i in range(400)]
    found = corrected_win_rate(values, people, range(400), raters)
    of_80 = cluster_share_interval(values[:80], range(80))
    assert found.estimate == pytest.approx(values.mean())
    assert found.high - found.low < 0.55 * (of_80.high - of_80.low)  # about sqrt(80 / 400) = 0.447


def test_a_useless_judge_costs_no_more_than_its_own_noise():
    """A coin: the variance of the labels and of the judge add up (Angelopoulos et al. 2023, without power tuning)."""
    rng = np.random.default_rng(5)
    truth, coin = rng.choice([0.0, 1.0], 4000), rng.choice([0.0, 1.0], 4000)
    people = [float(v) if i < 1000 else None for i, v in enumerate(truth)]
    raters = [f"r{i}" if i < 1000 else None for i in range(4000)]
    found = corrected_win_rate(coin, people, range(4000), raters)
    # psi: unlabelled f/4000; labelled f/4000 + (y - f)/1000, of variance 1/4 each
    expected = 0.25 * (3000 / 4000**2 + 1000 * (1 / 1000**2 + (1 / 4000 - 1 / 1000) ** 2))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * math.sqrt(expected), rel=0.03)


def test_the_corrected_win_rate_covers_the_truth_where_the_raw_one_misses_it():
    """200 worlds: people prefer 50 %, a judge of their opinion is turned towards the candidate 30 % of the time."""
    rng, raw, corrected = np.random.default_rng(6), 0, 0
    for _ in range(200):
        truth = rng.choice([0.0, 1.0], 300)
        judged = np.where(rng.random(300) < 0.3, 1.0, truth)
        people = [float(v) if i < 120 else None for i, v in enumerate(truth)]
        raters = [f"r{i % 20}" if i < 120 else None for i in range(300)]
        found = corrected_win_rate(judged, people, range(300), raters)
        corrected += found.low <= 0.5 <= found.high
        plain = cluster_share_interval(judged, range(300))
        raw += plain.low <= 0.5 <= plain.high
    assert raw < 20
    assert corrected >= 182  # 95 % of 200, less two and a half standard errors


def test_pairs_of_one_conversation_are_no_further_evidence():
    values = [1.0, 0.0] * 30
    people: list[float | None] = [1.0, 0.5] * 30
    raters = [f"r{i}" for i in range(60)]
    single = corrected_win_rate(values, people, range(60), raters)
    doubled = corrected_win_rate(
        values * 2, people * 2, [*range(60), *range(60)], [f"r{i}" for i in range(120)]
    )
    assert doubled.estimate == single.estimate
    assert doubled.high - doubled.low == pytest.approx(single.high - single.low, rel=0.02)


@pytest.mark.parametrize(
    ("people", "groups", "raters"),
    [
        ([None] * 4, "abcd", [None] * 4),
        ([1.0, None, None, None], "abcd", ["x", None, None, None]),
        ([1.0, 0.0, None, None], "aacd", ["x", "y", None, None]),
        ([1.0, 0.0, None, None], "abcd", ["x", "x", None, None]),
    ],
)
def test_labels_on_one_group_or_by_one_person_give_no_interval(people, groups, raters):
    with pytest.raises(ValueError, match="2 groups and by 2 people"):
        corrected_win_rate([1, 0, 1, 0], people, groups, raters)


@given(st.lists(st.tuples(VALUE, VALUE, st.booleans()), min_size=6, max_size=40))
@settings(max_examples=60, deadline=None)
def test_it_turns_round_with_the_sides_and_stays_within_bounds(rows):
    judged = [f for f, _, _ in rows]
    people = [y if labelled or i < 2 else None for i, (_, y, labelled) in enumerate(rows)]
    raters = [f"r{i % 5}" if y is not None else None for i, y in enumerate(people)]
    found = corrected_win_rate(judged, people, range(len(rows)), raters)
    turned = corrected_win_rate(
        [1 - f for f in judged],
        [None if y is None else 1 - y for y in people],
        range(len(rows)),
        raters,
    )
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert turned.estimate == pytest.approx(1 - found.estimate)
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_agreement_is_on_pairs_where_both_prefer_a_side():
    """Of six, two have a tie; on the other four they agree three times."""
    judged, people = [1, 1, 0, 0, 0.5, 1], [1, 1, 0, 1, 1, 0.5]
    found = known(agreement_interval(judged, people, "abcdef"))
    assert (found.estimate, found.n) == (0.75, 4)
    assert found == cluster_share_interval([1, 1, 1, 0], "abcd")
    assert agreement_interval([0.5, 0.5], [1, 0], "ab") is None
    assert agreement_interval([1, 1], [1, 0], "aa") is None


def test_how_often_the_longer_text_is_preferred():
    """The candidate is longer by 3, 3, 0, shorter by 2, 2: of the four that can be told, three prefer the longer."""
    values, longer = [1, 0, 1, 0, 0], [3, 3, 0, -2, -2]
    found = known(longer_share_interval(values, longer, "abcde"))
    assert (found.estimate, found.n) == (0.75, 4)
    assert longer_share_interval([0.5, 0.5], [1, 2], "ab") is None


def test_how_much_oftener_the_judge_prefers_the_longer_text():
    """On the first four both prefer a side: the judge the longer each time, people twice."""
    judged, people = [1, 1, 0, 0, 1], [1, 0, 0, 1, 0.5]
    longer = [5, 5, -5, -5, 9]
    found = known(longer_excess_interval(judged, people, longer, "abcde"))
    assert (found.estimate, found.n) == (0.5, 4)
    assert longer_excess_interval([1, 0.5], [1, 1], [1, 1], "ab") is None


def test_a_share_of_one_group_is_none():
    assert share_or_none(np.array([1.0, 0.0]), "aa") is None
    assert known(share_or_none(np.array([1.0, 0.0]), "ab")).estimate == 0.5
    assert share_or_none(np.array([]), "") is None
