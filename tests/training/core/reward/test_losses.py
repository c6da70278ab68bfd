import math

import pytest
import torch

from training.core.reward.losses import (
    bradley_terry_loss,
    centering_penalty,
    margin_of,
    smoothed,
    updated,
)


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_loss_is_minus_log_sigmoid_of_chosen_minus_rejected():
    # sigmoid(ln 3) = 3/4: the right order costs ln(4/3), the wrong one ln 4
    d = math.log(3)
    loss = bradley_terry_loss(t(d, -d, d), t(1, 1, 0), t(0, 0, 0))
    assert loss.tolist() == pytest.approx([math.log(4 / 3), math.log(4), math.log(4)])


def test_tie_costs_least_at_equal_scores():
    # at d = 0: ln 2; at d = ln 3: (ln(4/3) + ln 4) / 2
    loss = bradley_terry_loss(t(0, math.log(3)), t(0.5, 0.5), t(0, 0))
    assert loss.tolist() == pytest.approx([math.log(2), (math.log(4 / 3) + math.log(4)) / 2])


def test_soft_label_pulls_the_difference_to_its_log_odds():
    difference = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bradley_terry_loss(difference + math.log(0.8 / 0.2), t(0.8), t(0)).sum().backward()
    assert difference.grad is not None
    assert difference.grad.item() == pytest.approx(0, abs=1e-12)


def test_margin_demands_more_for_strong_preferences():
    steps = (0.5, 1.0, 1.5)
    assert margin_of(t(1, 3, 4, 7), steps).tolist() == [1.5, 0.5, 0.0, 1.5]
    # d = ln 3 + 1.5 with margin 1.5 is d = ln 3 without
    loss = bradley_terry_loss(t(math.log(3) + 1.5), t(1), t(1.5))
    assert loss.item() == pytest.approx(math.log(4 / 3))


def test_margins_are_those_of_llama_2_either_way_round():
    # Touvron 2023, "small": significantly better 1, better 2/3, slightly 1/3, negligibly 0
    small = (1 / 3, 2 / 3, 1.0)
    expected = [1, 2 / 3, 1 / 3, 0, 1 / 3, 2 / 3, 1]
    assert margin_of(t(1, 2, 3, 4, 5, 6, 7), small).tolist() == pytest.approx(expected)


def test_margins_between_steps_are_interpolated():
    # votes of 5 and 6 have the mean 5.5: half-way between slightly (0.2) and better (1.0)
    assert margin_of(t(5.5, 4.25, 1.5), (0.2, 1.0, 3.0)).tolist() == pytest.approx([0.6, 0.05, 2.0])


def test_label_smoothing_mixes_in_the_turned_label():
    assert smoothed(t(1, 0, 0.5), 0.1).tolist() == pytest.approx([0.9, 0.1, 0.5])


def test_centering_punishes_the_offset_only():
    assert centering_penalty(t(2, 3), t(-2, 1), 0.01).tolist() == pytest.approx([0, 0.16])


def test_an_updated_label_goes_part_of_the_way_to_what_the_model_says():
    # sigmoid(ln 3) = 3/4
    found = updated(t(1, 0, 0.5), t(math.log(3), math.log(3), 0), 0.4)
    assert found.tolist() == pytest.approx([0.6 + 0.3, 0.3, 0.5])
    assert updated(t(1, 0), t(-2, 5), 0.0).tolist() == [1.0, 0.0]
