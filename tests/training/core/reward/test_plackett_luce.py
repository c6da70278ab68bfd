"""The likelihood of whole rankings, against numbers worked out by hand and a count over all orders."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from training.core.reward.losses import bradley_terry_loss
from training.core.reward.plackett_luce import plackett_luce_loss


def one(scores, levels):
    return float(plackett_luce_loss([torch.tensor(scores, dtype=torch.float64)], [levels])[0])


def over_all_orders(scores, levels):
    """The mean of -log P over every order in which nobody stands before somebody of a better level."""
    worth = [math.exp(s) for s in scores]
    found = []
    for order in itertools.permutations(range(len(scores))):
        if any(levels[a] > levels[b] for a, b in itertools.pairwise(order)):
            continue
        stages = (worth[i] / sum(worth[j] for j in order[n:]) for n, i in enumerate(order))
        found.append(-math.log(math.prod(stages)))
    return sum(found) / len(found)


def test_equal_scores_make_every_order_as_likely():
    assert one([0.0, 0.0, 0.0], (1, 2, 3)) == pytest.approx(math.log(6))
    assert one([5.0] * 4, (3, 1, 4, 2)) == pytest.approx(math.log(24))


def test_a_ranking_by_hand():
    # worths 2, 1, 1: the first is chosen with 2/4, then one of two equal ones with 1/2
    assert one([math.log(2), 0.0, 0.0], (1, 2, 3)) == pytest.approx(math.log(4))
    # worths 3, 2, 1 from the worst to the best: 1/6, then 2/5
    assert one([math.log(3), math.log(2), 0.0], (3, 2, 1)) == pytest.approx(-math.log(1 / 15))


@pytest.mark.parametrize("levels", [(1, 2), (2, 1), (1, 1)])
def test_two_answers_are_bradley_terry_exactly(levels):
    scores = torch.randn(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    preference = torch.full((50,), 0.5 if levels == (1, 1) else float(levels == (1, 2))).double()
    expected = bradley_terry_loss(scores[:, 0] - scores[:, 1], preference, torch.zeros(50).double())
    found = plackett_luce_loss(list(scores), [levels] * 50)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "levels", [(1, 1, 2, 3), (2, 1, 1, 1), (1, 2, 2, 1), (1, 1, 1, 1), (1, 2, 3, 3)]
)
def test_ties_are_the_mean_over_the_orders_that_agree_with_them(levels):
    scores = [0.3, -1.2, 2.0, 0.7]
    assert one(scores, levels) == pytest.approx(over_all_orders(scores, levels), abs=1e-12)


def test_nine_answers_of_one_level_are_no_burden():
    assert one([0.0] * 9, (1,) * 9) == pytest.approx(math.log(math.factorial(9)))


def test_the_gradient_is_that_of_the_formula():
    scores = torch.tensor([0.5, -0.3, 1.1, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: plackett_luce_loss([s], [(2, 1, 3, 3)]), (scores,))


def test_a_common_shift_of_the_scores_changes_nothing():
    scores = torch.tensor([0.5, -0.3, 1.1])
    losses = plackett_luce_loss([scores, scores + 100], [(2, 1, 3)] * 2)
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=1e-4)
