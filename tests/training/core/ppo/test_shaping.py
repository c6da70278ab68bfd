"""Preference as reward by hand: bounded, centred on the reference, steepest where the policy begins."""

from __future__ import annotations

import math

import torch
from torch import tensor

from training.core.ppo.shaping import preference_as_reward

close = torch.testing.assert_close


def test_the_mean_of_the_probabilities_of_being_preferred() -> None:
    half, low = 0.5, 1 / (1 + math.exp(2.0))
    found = preference_as_reward(tensor([1.0, 0.0]), tensor([[1.0, 2.0], [0.0, 0.0]]), slope=2.0)
    close(found, tensor([(half + low) / 2, half]))


def test_a_score_far_above_the_reference_earns_nothing_more() -> None:
    scores = tensor([0.0, 1.0, 20.0, 40.0])
    paid = preference_as_reward(scores, torch.zeros(4, 3), slope=1.0)
    steps = paid.diff()
    assert float(paid.max()) <= 1.0
    assert float(steps[0]) > 0.2
    assert abs(float(steps[2])) < 1e-6
