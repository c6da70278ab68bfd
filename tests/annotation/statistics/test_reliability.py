"""Who is right how often, against planted people; and who always says "first"."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.statistics.reliability import FIRST, SECOND, TIE, reliability_fit

RIGHT = (None, None, 0.9, 0.9, 0.8, 0.8, 0.8, 0.7, 0.7, 0.6)  # the first two are no judges


def planted(seed: int, *, second_better: float = 0.28, items: int = 800):
    """Person 0 always says left, person 1 always slot 1; the others are right as `RIGHT` says."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(items) < second_better).astype(int)
    item = np.repeat(np.arange(items), 5)
    rater = np.concatenate([rng.permutation(len(RIGHT))[:5] for _ in range(items)])
    flipped = rng.integers(0, 2, len(item))
    skill = np.array([share or 0.5 for share in RIGHT])[rater]
    answer = 2 * np.where(rng.random(len(item)) < skill, truth[item], 1 - truth[item])
    answer = np.where(rater == 0, np.where(flipped == 1, SECOND, FIRST), answer)
    answer = np.where(rater == 1, FIRST, answer)
    return truth, item, rater, answer, flipped


@pytest.mark.parametrize("seed", range(3))
def test_planted_shares_are_found_again(seed):
    truth, *votes = planted(seed, second_better=0.5)
    fit = reliability_fit(*votes)
    for share, found in zip(RIGHT[2:], fit.by_rater[2:], strict=True):
        assert found is not None
        assert found.value == pytest.approx(share, abs=0.06)
    assert ((fit.second > 0.5) == truth).mean() > 0.88


@pytest.mark.parametrize("seed", range(3))
def test_who_always_says_first_is_seen(seed):
    """Right 72 % of the time by the slots alone, which a single share a person would have told."""
    truth, item, rater, answer, flipped = planted(seed)
    fit = reliability_fit(item, rater, answer, flipped)
    single = ((answer == 2 * truth[item]) & (rater == 1)).sum() / (rater == 1).sum()
    assert single == pytest.approx(0.72, abs=0.05)
    for always in (0, 1):
        found = fit.by_rater[always]
        assert found is not None
        assert found.high < 0.6
    assert all(found.low > 0.55 for found in fit.by_rater[2:9] if found)


def test_by_hand_two_people_who_agree_throughout():
    """Every item is settled, so each side is all right, smoothed by one vote that is all right too."""
    item = np.repeat(np.arange(40), 2)
    fit = reliability_fit(
        item,
        np.tile([0, 1], 40),
        np.where(item % 2 == 0, FIRST, SECOND),
        np.zeros(80, dtype=int),
    )
    assert np.allclose(fit.second, np.arange(40) % 2, atol=1e-4)
    for found in fit.by_rater:
        assert found is not None
        assert found.value == pytest.approx(1.0, abs=1e-4)
        assert found.n == 40
        # two of 20 + 1 votes, all right: Wilson's low bound of each, (1 + z2/42 - z2/42) / (1 + z2/21)
        alone = 1 / (1 + 1.96**2 / 21)
        assert found.low == pytest.approx(1 - (1 - alone) / 2**0.5, abs=1e-3)


def test_a_tie_counts_half():
    """Person 2 always ties; the others settle the items."""
    item = np.repeat(np.arange(60), 3)
    answer = np.where(item % 2 == 0, FIRST, SECOND)
    rater = np.tile([0, 1, 2], 60)
    answer = np.where(rater == 2, TIE, answer)
    fit = reliability_fit(item, rater, answer, np.zeros(180, dtype=int))
    found = fit.by_rater[2]
    assert found is not None
    # 30 items a side at one half, and one vote like everybody's: 5/6
    assert found.value == pytest.approx((15 + 5 / 6) / 31, abs=1e-3)
