"""Mini-batches are drawn from the completions of all processes: who holds one changes nothing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from training.core.model.actor_critic import ActorCritic
from training.core.ppo.experience import Experience
from training.core.ppo.update import Learner, make_optimizer

PROMPTS = [[5, 6, 7], [8, 9], [6, 6, 6, 6], [7]]
RESPONSES = [[10, 11, 12], [13], [14, 15], [10, 10, 10]]


def experience_of(rows: list[int]) -> Experience:
    generator = torch.Generator().manual_seed(0)
    tables = torch.randn(4, len(PROMPTS), 3, generator=generator)
    lengths = torch.tensor([len(r) for r in RESPONSES])
    mask = torch.arange(3)[None] >= (3 - lengths)[:, None]
    log_probs, values, advantages, returns = (t[rows] for t in tables)
    return Experience(
        [PROMPTS[i] for i in rows],
        [RESPONSES[i] for i in rows],
        mask[rows],
        -4.0 + 0.1 * log_probs,
        values,
        advantages,
        returns,
    )


class Process:
    """One of `count` processes that this test steps through in turn, in place of a real launcher."""

    def __init__(self, index: int, count: int) -> None:
        self.process_index, self.num_processes = index, count

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def no_sync(self, model: Any) -> Any:
        return nullcontext()

    def autocast(self) -> Any:
        return nullcontext()

    def unscale_gradients(self) -> None:
        """No gradient is scaled in fp32."""


def gradient_of(
    rows: list[int],
    part: list[int],
    *,
    index: int,
    count: int,
    tokens: int,
    importance: torch.Tensor | None = None,
) -> Any:
    """What one process adds to the mean gradient in one optimiser step, and its statistics."""
    policy = ppo_runs.tiny_policy()
    actor = ActorCritic.separate(policy.model)
    stopped = SimpleNamespace(param_groups=[{}, {}], step=lambda: None, zero_grad=lambda **_: None)
    learner = Learner(
        accelerator=Process(index, count),
        actor=actor,
        model=actor,
        optimizer=stopped,
        reduce=lambda value: torch.tensor(tokens) if value.dtype == torch.int64 else value,
        config=ppo_runs.tiny_config(micro_batch_size=2),
        pad_id=policy.pad_id,
    )
    object.__setattr__(learner, "_clip_gradients", lambda: torch.zeros(2))
    experience = replace(experience_of(rows), importance=importance)
    found = learner._step(experience, part, step=0)
    return [p.grad / count for p in actor.parameters() if p.grad is not None], found


def test_processes_add_up_to_one_even_where_one_has_no_completion_of_a_mini_batch() -> None:
    tokens = 3 + 1  # of rows 0 and 1
    whole, said = gradient_of([0, 1, 2, 3], [0, 1], index=0, count=1, tokens=tokens)
    first, one = gradient_of([0, 1], [0, 1], index=0, count=2, tokens=tokens)
    second, other = gradient_of([2, 3], [], index=1, count=2, tokens=tokens)
    assert max(float(g.abs().max()) for g in whole) > 1e-3
    for alone, a, b in zip(whole, first, second, strict=True):
        torch.testing.assert_close(alone, a + b, atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(said, one + other)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_accumulation_changes_the_weights_by_rounding_only(size: int) -> None:
    def learned(micro_batch_size: int) -> list[torch.Tensor]:
        policy = ppo_runs.tiny_policy()
        actor = ActorCritic.separate(policy.model)
        config = ppo_runs.tiny_config(micro_batch_size=micro_batch_size, mini_batches=1, epochs=1)
        optimizer = make_optimizer(actor, config)
        learner = Learner(
            Process(0, 1), actor, actor, optimizer, lambda value: value, config, policy.pad_id
        )
        steps = learner.update(
            experience_of([0, 1, 2, 3]), generator=torch.Generator().manual_seed(1), first_step=0
        )
        assert steps.optimizer_steps == 1
        return [p.detach().clone() for p in actor.parameters()]

    for whole, parts in zip(learned(4), learned(size), strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-5, rtol=0)


def test_importance_weights_reach_the_policy_and_weights_of_one_change_no_bit() -> None:
    """Half the weight is half the gradient of the policy; the critic does not know of weights."""

    def learned(importance: torch.Tensor | None) -> tuple[list[torch.Tensor], torch.Tensor]:
        rows = [0, 1, 2, 3]
        found: tuple[list[torch.Tensor], torch.Tensor] = gradient_of(
            rows, rows, index=0, count=1, tokens=9, importance=importance
        )
        return found

    plain, said = learned(None)
    ones, said_ones = learned(torch.ones(4, 3))
    assert torch.equal(said, said_ones)
    assert all(torch.equal(a, b) for a, b in zip(plain, ones, strict=True))
    halved, said_halved = learned(torch.full((4, 3), 0.5))
    assert float(said_halved[0]) == pytest.approx(0.5 * float(said[0]), rel=1e-6)
    assert float(said_halved[1]) == float(said[1])
    policy = len(list(ppo_runs.tiny_policy().model.parameters()))
    for whole, half in zip(plain[:policy], halved[:policy], strict=True):
        assert float(whole.abs().max()) > 0
        torch.testing.assert_close(half, whole / 2, atol=1e-8, rtol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(plain[policy:], halved[policy:], strict=True))
