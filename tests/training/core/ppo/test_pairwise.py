"""P3O by hand and against a plain loop, and what of it has to hold whatever the numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, tensor

from training.core.ppo.experience import build_experience
from training.core.ppo.losses import PolicyLoss
from training.core.ppo.pairwise import pair_policy_loss
from training.core.ppo.update import mini_batches
from training.core.rollout.episodes import Episodes, TokenTables

close = torch.testing.assert_close
MASK = tensor([[True, True, True], [False, True, True], [False, False, True], [True, True, True]])


def loss_of(own: Tensor, old: Tensor, gaps: Tensor, **changes: Any) -> PolicyLoss:
    settings = {"clip_range": 0.2, "ratio_cap": 2.0, "pairs": 2.0} | changes
    return pair_policy_loss(own, old, gaps, MASK, **settings)


def naive(
    own: Any, old: Any, gaps: list[float], *, clip: float, cap: float
) -> tuple[float, list[list[float]], int]:
    """The loss, its derivative by each log-probability, and the clipped tokens; token by token."""
    lengths = [3, 2, 1, 3]
    total, clipped = 0.0, 0
    slopes = [[0.0] * 3 for _ in lengths]
    for pair, gap in enumerate(gaps):
        sums = [
            sum(own[row][t] - old[row][t] for t in range(3 - lengths[row], 3))
            for row in (2 * pair, 2 * pair + 1)
        ]
        weight = min(cap, max(1 / cap, math.exp(sums[0] + sums[1])))
        d = sums[0] - sums[1]
        free, held = -gap * weight * d / 2, -gap * weight * min(clip, max(-clip, d)) / 2
        total += max(free, held) / len(gaps)
        if held > free:
            clipped += lengths[2 * pair] + lengths[2 * pair + 1]
            continue
        for row, sign in ((2 * pair, 1), (2 * pair + 1, -1)):
            for t in range(3 - lengths[row], 3):
                slopes[row][t] = sign * -gap * weight / 2 / len(gaps)
    return total, slopes, clipped


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [0.03, 0.5])
def test_loss_gradient_and_clip_equal_a_plain_loop(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    old = rng.normal(-2, 1, (4, 3))
    own = old + rng.normal(0, spread, (4, 3))
    gaps = rng.normal(0, 1, 2).tolist()
    total, slopes, clipped = naive(own.tolist(), old.tolist(), gaps, clip=0.2, cap=2.0)
    moved = torch.tensor(own, requires_grad=True)
    found = loss_of(moved, torch.tensor(old), torch.tensor(gaps, dtype=torch.float64))
    found.loss.backward()
    assert float(found.loss.detach()) == pytest.approx(total, abs=1e-12)
    assert moved.grad is not None
    close(moved.grad, torch.tensor(slopes, dtype=torch.float64), atol=1e-12, rtol=0)
    assert int(found.clipped) == clipped


def test_both_sides_of_the_clip_and_of_the_cap_come_up() -> None:
    """First 0.1 nats up and second 0.1 down: d = 0.2, not yet clipped; 0.3 more of d is."""
    old = torch.zeros(4, 3)
    own = old.clone()
    own[0, 2], own[1, 2] = 0.1, -0.1
    # weight exp(0) = 1; 3 x 0.2 / 2 = 0.3 over two pairs, of which the second says nothing
    assert float(loss_of(own, old, tensor([3.0, 0.0])).loss) == pytest.approx(-0.15)
    own[0, 2] = 0.4
    # weight exp(0.3); d = 0.5 is held at 0.2: no gradient, five tokens are counted
    found = loss_of(own, old, tensor([3.0, 0.0]))
    assert float(found.loss) == pytest.approx(-3 * math.exp(0.3) * 0.2 / 2 / 2, rel=1e-6)
    assert int(found.clipped) == 5
    # the wrong way round nothing is held: the policy may come back
    found = loss_of(own, old, tensor([-3.0, 0.0]))
    assert float(found.loss) == pytest.approx(3 * math.exp(0.3) * 0.5 / 2 / 2, rel=1e-6)
    assert int(found.clipped) == 0
    capped = loss_of(own + 9, old, tensor([-3.0, 0.0]))
    # sums: three tokens of the first are 27.4, two of the second 17.9
    assert float(capped.loss) == pytest.approx(3 * 2.0 * 9.5 / 2 / 2, rel=1e-6)


def test_padding_changes_nothing() -> None:
    old, own = torch.zeros(4, 3), 0.05 * torch.ones(4, 3)
    before = loss_of(own, old, tensor([1.0, -2.0]))
    after = loss_of(own.masked_fill(~MASK, 7.0), old.masked_fill(~MASK, -3.0), tensor([1.0, -2.0]))
    for one, other in zip(before, after, strict=True):
        close(one, other)


def test_at_the_policy_that_drew_it_is_the_policy_gradient_of_the_gap() -> None:
    own = torch.zeros(4, 3, requires_grad=True)
    loss_of(own, torch.zeros(4, 3), tensor([4.0, -1.0])).loss.backward()
    expected = tensor([[-1.0] * 3, [0, 1.0, 1.0], [0, 0, 0.25], [-0.25] * 3])
    assert own.grad is not None
    close(own.grad, expected)


def _advantages(scores: list[float]) -> Tensor:
    episodes = Episodes([[1]] * 4, [[5], [6, 7], [8], [9]], [True] * 4, ["a", "b c", "d", "e"])
    nothing = torch.zeros(4, 2)
    own = tensor([[0.0, 0.2], [0.4, 0.2], [0.0, 0.0], [0.0, 0.0]])
    return build_experience(
        episodes,
        TokenTables(own, nothing, nothing, nothing, nothing),
        tensor(scores),
        beta=0.5,
        gamma=1.0,
        gae_lambda=0.95,
        missing_eos_penalty=0.0,
        whiten_advantages=True,
        advantage="p3o",
        group=4,
    ).advantages


def test_the_gap_is_of_returns_with_the_kl_price_and_blind_to_what_a_prompt_is_worth() -> None:
    found = _advantages([2.0, 1.0, 5.0, 3.0])
    # 2 - 0.1 less 1 - 0.3; and 5 less 3
    close(found[::2, -1], tensor([1.2, 2.0]))
    close(found[1::2, -1], tensor([-1.2, -2.0]))
    close(_advantages([102.0, 101.0, 5.0, 3.0]), found, atol=1e-4, rtol=0)


def test_both_of_a_pair_are_in_one_mini_batch() -> None:
    parts = list(mini_batches(12, 3, generator=torch.Generator().manual_seed(4), together=2))
    assert sorted(row for part in parts for row in part) == list(range(12))
    assert parts != [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    for part in parts:
        assert len(part) == 4
        assert all(part[i] % 2 == 0 and part[i + 1] == part[i] + 1 for i in (0, 2))
