"""DPO and IPO against formulas written a second time in float64, and a bandit with a known answer."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from training.core.preference.log_ratios import LogProbs
from training.core.preference.losses import exploration_bonus, pair_losses
from training.core.preference.tally import SUMS, tally, tally_means

FIRST = [0.3, -1.2, 2.0, 0.0]
SECOND = [-0.4, 0.7, 1.9, 0.0]
PREFERENCE = [1.0, 0.0, 0.5, 0.8]


def tensors(*columns: list[float]) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(column, dtype=torch.float64) for column in columns)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dpo_by_hand(first: float, second: float, p: float, beta: float) -> tuple[float, float]:
    """Loss and its derivative by the first log-ratio: -log of a mixture, d/dh = sigmoid(h) - p."""
    h = beta * (first - second)
    return -p * math.log(sigmoid(h)) - (1 - p) * math.log(1 - sigmoid(h)), beta * (sigmoid(h) - p)


def ipo_by_hand(first: float, second: float, p: float, beta: float) -> tuple[float, float]:
    d, w = first - second, 0.5 / beta
    return p * (d - w) ** 2 + (1 - p) * (d + w) ** 2, 2 * p * (d - w) + 2 * (1 - p) * (d + w)


@pytest.mark.parametrize(("kind", "by_hand"), [("dpo", dpo_by_hand), ("ipo", ipo_by_hand)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_and_gradients_equal_the_formulas(kind: Any, by_hand: Any, smoothing: float) -> None:
    first, second, preference = tensors(FIRST, SECOND, PREFERENCE)
    first.requires_grad_()
    found = pair_losses(first, second, preference, beta=0.3, kind=kind, label_smoothing=smoothing)
    found.loss.sum().backward()
    for i, p in enumerate(PREFERENCE):
        soft = p * (1 - smoothing) + (1 - p) * smoothing
        loss, gradient = by_hand(FIRST[i], SECOND[i], soft, 0.3)
        assert float(found.loss[i].detach()) == pytest.approx(loss, abs=1e-12)
        assert first.grad is not None
        assert float(first.grad[i]) == pytest.approx(gradient, abs=1e-12)
        assert float(found.margin[i].detach()) == pytest.approx(0.3 * (FIRST[i] - SECOND[i]))


def test_a_policy_that_is_its_reference_pays_log_two() -> None:
    zero, preference = tensors([0.0], [1.0])
    found = pair_losses(zero, zero, preference, beta=0.1)
    assert float(found.loss) == pytest.approx(math.log(2))


def test_a_bandit_with_the_bonus_ends_at_the_minimum_of_both() -> None:
    """Two arms, one pair of them won always with p = 0.6: the optimum of the paper's objective, by a plain search.

    L(q) = -p log s(h) - (1 - p) log s(-h) + alpha (ref log q + (1 - ref) log(1 - q)), h the log-odds of q over ref.
    """
    beta, p, reference, alpha = 1.0, 0.6, 0.7, 0.3

    def objective(q: float) -> float:
        h = beta * (math.log(q / reference) - math.log((1 - q) / (1 - reference)))
        bonus = reference * math.log(q) + (1 - reference) * math.log(1 - q)
        return -p * math.log(sigmoid(h)) - (1 - p) * math.log(sigmoid(-h)) + alpha * bonus

    expected = min((i / 10000 for i in range(4000, 9500)), key=objective)
    logits = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    prior = torch.tensor([reference, 1 - reference], dtype=torch.float64)
    optimizer = torch.optim.Adam([logits], lr=0.02)
    for _ in range(1500):
        optimizer.zero_grad()
        own = logits.log_softmax(0)
        ratios = own - prior.log()
        judged = pair_losses(ratios[:1], ratios[1:], torch.tensor([p]).double(), beta=beta)
        bonus = (prior * exploration_bonus(own, alpha)).sum()
        (judged.loss.sum() + bonus).backward()
        optimizer.step()
    found = float(logits.softmax(0)[0].detach())
    assert found == pytest.approx(expected, abs=2e-3)
    without = 1 / (1 + (1 - reference) / reference * math.exp(-math.log(0.6 / 0.4) / beta))
    assert found != pytest.approx(without, abs=5e-3)


def test_turning_a_pair_round_changes_nothing() -> None:
    first, second, preference = tensors(FIRST, SECOND, PREFERENCE)
    for kind in ("dpo", "ipo"):
        settings: dict[str, Any] = {"beta": 0.2, "kind": kind, "label_smoothing": 0.05}
        ahead = pair_losses(first, second, preference, **settings)
        turned = pair_losses(second, first, 1 - preference, **settings)
        torch.testing.assert_close(ahead.loss, turned.loss)


@pytest.mark.parametrize("beta", [0.25, 1.0])
def test_a_bandit_ends_at_its_closed_form(beta: float) -> None:
    """Every pair of arms is labelled by Bradley-Terry on known rewards; then pi* = pi_ref exp(r/beta)/Z."""
    rewards, reference = tensors([0.0, 0.3, -0.2, 0.5, 0.1], [0.4, 0.1, 0.2, 0.05, 0.25])
    arms = list(itertools.combinations(range(5), 2))
    left, right = (torch.tensor(side) for side in zip(*arms, strict=True))
    preference = torch.sigmoid(rewards[left] - rewards[right])
    logits = reference.log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        ratios = logits.log_softmax(0) - reference.log()
        value = pair_losses(ratios[left], ratios[right], preference, beta=beta).loss.mean()
        value.backward()
        return value

    optimizer.step(loss)
    expected = reference * (rewards / beta).exp()
    expected = expected / expected.sum()
    torch.testing.assert_close(logits.softmax(0).detach(), expected, atol=1e-4, rtol=0)


def test_means_leave_ties_out_of_the_implicit_rewards_and_count_weights() -> None:
    first, second, preference, weights = tensors(
        [1.0, 0.0, 5.0], [0.0, 2.0, 1.0], [1.0, 0.0, 0.5], [3.0, 1.0, 2.0]
    )
    found = pair_losses(first, second, preference, beta=0.5)
    sums = tally(found, LogProbs(first, second), preference, weights)
    assert sums.shape == (len(SUMS),)
    row = tally_means(sums.tolist())
    # The second pair prefers completion 1, whose log-ratio is 2; the third is a tie.
    assert row["implicit_margin"] == pytest.approx((3 * 0.5 + 1 * 1.0) / 4)
    assert row["implicit_accuracy"] == 1.0
    assert row["chosen_log_ratio"] == pytest.approx((3 * 1.0 + 1 * 2.0) / 4)
    assert row["rejected_log_ratio"] == pytest.approx(0.0)
    weighted = float((found.loss * weights).sum()) / 6
    assert row["loss"] == pytest.approx(weighted)


def test_without_pairs_there_is_no_row() -> None:
    assert tally_means([0.0] * len(SUMS)) == {}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_simpo_asks_for_a_lead_and_still_takes_soft_labels(smoothing: float) -> None:
    first, second, preference = tensors(FIRST, SECOND, PREFERENCE)
    found = pair_losses(
        first,
        second,
        preference,
        beta=2.0,
        kind="simpo",
        label_smoothing=smoothing,
        simpo_margin=0.7,
    )
    for i, p in enumerate(PREFERENCE):
        soft, h = p * (1 - smoothing) + (1 - p) * smoothing, 2.0 * (FIRST[i] - SECOND[i])
        loss = -soft * math.log(sigmoid(h - 0.7)) - (1 - soft) * math.log(sigmoid(-h - 0.7))
        assert float(found.loss[i]) == pytest.approx(loss, abs=1e-12)
        assert float(found.margin[i]) == pytest.approx(h)


def test_the_lead_is_of_simpo_alone() -> None:
    first, second, preference = tensors(FIRST, SECOND, PREFERENCE)
    plain = pair_losses(first, second, preference, beta=0.3)
    other = pair_losses(
        first, second, preference, beta=0.3, kind="length_normalised_dpo", simpo_margin=0.7
    )
    torch.testing.assert_close(other.loss, plain.loss)
