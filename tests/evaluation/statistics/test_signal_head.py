"""The head on users' signals: weights by hand, a fit by an independent formula, and what few users can do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from evaluation.statistics.signal_head import HeadExamples, head_fit, user_weights


def test_a_user_weighs_three_where_there_are_enough_others() -> None:
    users = [f"u{i}" for i in range(300)] + ["loud"] * 12
    weights, share = user_weights(users)
    assert weights[-12:] == pytest.approx([3 / 12] * 12)
    assert share == pytest.approx(3 / 303)


def test_fewer_users_lower_the_cap_so_that_nobody_weighs_more_than_two_in_a_hundred() -> None:
    users = [f"u{i}" for i in range(60)] + ["loud"] * 12
    weights, share = user_weights(users)
    assert weights[-1] == pytest.approx(1 / 12)  # 1.5 / 61.5 is still more than 2 %
    assert share == pytest.approx(1 / 61)
    with pytest.raises(ValueError, match="needs 50 users, got 49"):
        user_weights(users[:49])


def test_pairs_alone_are_bradley_terry_with_a_ridge() -> None:
    """One state, +1 or -1: the gradient is zero where sum_i w_i x_i s(-y_i x_i b) = b, with x = 2."""
    n, wins = 80, 60
    first, second = np.ones((n, 1)), -np.ones((n, 1))
    up = np.arange(n) < wins
    found = head_fit(HeadExamples(first, second, np.full(n, True), up, list(range(n))))
    slope = brentq(lambda b: 2 * wins * expit(-2 * b) - 2 * (n - wins) * expit(2 * b) - b, -10, 10)
    assert found.scores(np.array([[1.0], [-1.0]])) == pytest.approx([slope, -slope], abs=1e-4)


def test_thumbs_are_a_logistic_regression_with_a_constant() -> None:
    """Ups at 90 % and 70 %: the constant takes what is common, the slope what the states tell."""
    x = np.repeat([1.0, -1.0], 1000)[:, None]
    up = np.concatenate([np.arange(1000) < 900, np.arange(1000) < 700])
    found = head_fit(HeadExamples(x, x, np.full(2000, False), up, list(range(2000))))
    high, low = found.scores(np.array([[1.0], [-1.0]]))
    assert high - low == pytest.approx(np.log(9) - np.log(7 / 3), abs=0.02)


def test_equal_thumbs_alone_teach_nothing() -> None:
    states = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(ValueError, match="all thumbs are the same"):
        head_fit(HeadExamples(states, states, np.full(60, False), np.full(60, True), range(60)))


def test_more_states_than_examples_are_read() -> None:
    rng = np.random.default_rng(1)
    states = rng.normal(size=(80, 500))
    up = states[:, 0] > 0
    found = head_fit(HeadExamples(states, states, np.full(80, False), up, range(80)))
    assert np.isfinite(found.scores(states)).all()
    assert found.directions.shape == (500, 32)


def test_a_loud_user_is_outweighed() -> None:
    """One user with 500 thumbs against 100 users with one each."""
    rng = np.random.default_rng(2)
    honest, loud = rng.normal(size=(100, 1)), rng.normal(size=(500, 1))
    states = np.vstack([honest, loud])
    up = np.concatenate([honest[:, 0] > 0, loud[:, 0] < 0])
    users = [*range(100), *["loud"] * 500]
    found = head_fit(HeadExamples(states, states, np.full(600, False), up, users))
    assert found.largest_share <= 0.02
    assert np.diff(found.scores(np.array([[-1.0], [1.0]]))) > 1
