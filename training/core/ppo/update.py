"""One PPO update: epochs over mini-batches over micro-batches of one stored experience."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.contracts import PpoConfig
from training.core.data.sequences import length_buckets, pack_sequences, pass_overhead
from training.core.model.actor_critic import ActorCritic
from training.core.ppo.demonstrations import DemonstrationFeed
from training.core.ppo.experience import Experience
from training.core.ppo.losses import ValueLoss, policy_loss, value_loss
from training.core.rollout.reduction import Reduce
from training.core.sharding import clip_gradients, equal_passes, is_sharded

__all__ = ["Learner", "UpdateStatistics", "make_optimizer", "mini_batches", "warmup_factor"]


_OF_CRITIC = {"value_loss", "value_clip_fraction", "value_grad_norm"}


@dataclass(frozen=True)
class UpdateStatistics:
    """Means over the optimiser steps of one update, over all processes."""

    optimizer_steps: int
    stopped_early: bool
    policy_loss: float
    value_loss: float
    clip_fraction: float
    value_clip_fraction: float
    approx_kl: float
    grad_norm: float
    value_grad_norm: float
    ptx_loss: float

    def to_row(self, *, with_ptx: bool, with_critic: bool) -> dict[str, float | None]:
        """The part of an update's event row that the optimiser knows."""
        row = {name: float(value) for name, value in vars(self).items()}
        left_out = set() if with_ptx else {"ptx_loss"}
        left_out |= set() if with_critic else _OF_CRITIC
        return {name: row[name] for name in row if name not in left_out}


def warmup_factor(step: int, *, warmup_steps: int) -> float:
    """The share of the full learning rate at optimiser step `step`, counted from 0: linear, then 1."""
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0


def make_optimizer(actor: ActorCritic, config: PpoConfig) -> torch.optim.AdamW:
    """AdamW with eps 1e-5 (Huang 2024, detail 12); one group for the policy, one for the critic if any."""
    groups = [{"params": actor.policy_parameters(), "lr": config.policy_learning_rate}]
    if actor.head is not None:
        groups.append({"params": actor.value_parameters(), "lr": config.value_learning_rate})
    return torch.optim.AdamW(
        groups,
        betas=(0.9, 0.95),
        eps=1e-5,
        weight_decay=0.0,
        fused=True,
    )


def mini_batches(rows: int, parts: int, *, generator: torch.Generator) -> Iterator[list[int]]:
    """A random partition of `rows` rollouts into `parts` parts of equal size."""
    order = torch.randperm(rows, generator=generator).tolist()
    size = rows // parts
    return (order[start : start + size] for start in range(0, size * parts, size))


@dataclass(frozen=True)
class Learner:
    """The networks, their optimiser and the processes that they are spread over.

    `model` is `actor` as the accelerator wrapped it: gradients meet in its backward pass. Where it is
    sharded both are the same, and every process calls it equally often.
    """

    accelerator: Any
    actor: ActorCritic
    model: Any
    optimizer: Any
    reduce: Reduce
    config: PpoConfig
    pad_id: int
    demonstrations: DemonstrationFeed | None = None

    def update(
        self,
        experience: Experience,
        *,
        generator: torch.Generator,
        first_step: int,
        after_step: Callable[[], None] = lambda: None,
    ) -> UpdateStatistics:
        """Run the epochs of one update; `first_step` is the number of optimiser steps before it.

        `generator` is the same on every process: mini-batches are drawn from the completions of all
        of them, and each process works on those of its own, so that their number changes nothing.
        """
        rows: list[Tensor] = []
        stopped = False
        own = len(experience.responses)
        first = own * int(self.accelerator.process_index)
        for _ in range(self.config.epochs):
            parts = mini_batches(
                own * int(self.accelerator.num_processes),
                self.config.mini_batches,
                generator=generator,
            )
            for part in parts:
                mine = [row - first for row in part if first <= row < first + own]
                rows.append(self._step(experience, mine, step=first_step + len(rows)))
                after_step()
                stopped = self._should_stop(rows[-1])
                if stopped:
                    break
            if stopped:
                break
        means: list[float] = torch.stack(rows).mean(0).tolist()
        return UpdateStatistics(len(rows), stopped, *means)

    def _should_stop(self, row: Tensor) -> bool:
        limit = self.config.early_stop_update_kl
        return limit > 0 and float(row[4]) > limit

    def _step(self, experience: Experience, part: Sequence[int], *, step: int) -> Tensor:
        """One optimiser step on one mini-batch; its statistics in the order of `UpdateStatistics`."""
        self._set_learning_rates(step)
        tokens = self.reduce(experience.mask[list(part)].sum())
        # The others wait for gradients: a process without a completion in this mini-batch adds 0.
        part, weight = (part, 1.0) if part else ([0], 0.0)
        buckets = length_buckets(
            [len(experience.prompts[row]) + len(experience.responses[row]) for row in part],
            size=self.config.micro_batch_size,
            packed=self.actor.packed,
            overhead=pass_overhead(experience.mask.device),
        )
        sums = torch.zeros(5, device=experience.mask.device)
        ptx = self._pretraining(step, experience.mask.device)
        passes = equal_passes(self.model, len(buckets), device=experience.mask.device)
        for number in range(passes):
            # Processes meet once per step, at the last micro-batch, however many each one has; with
            # sharded networks at each, so that some add their shortest completion with weight 0.
            meet = number == passes - 1 or is_sharded(self.model)
            spare = number >= len(buckets)
            rows = [part[i] for i in (buckets[0][:1] if spare else buckets[number])]
            with nullcontext() if meet else self.accelerator.no_sync(self.model):
                counted = 0.0 if spare else weight
                sums += self._micro_batch(experience, rows, tokens, weight=counted)
        norms = self._clip_gradients()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        sums = self.reduce(sums)
        return torch.cat([sums[:2], sums[2:] / tokens, norms, ptx])

    def _pretraining(self, step: int, device: torch.device) -> Tensor:
        """Add the gradient of PPO-ptx (Ouyang 2022, eq. 2); returns the loss [1] in nats per token.

        It comes before the last micro-batch, in whose backward pass the processes meet.
        """
        if self.demonstrations is None:
            return torch.zeros(1, device=device)
        batch = self.demonstrations.batch(step)
        with self.accelerator.no_sync(self.model):
            loss = self.actor.imitation(batch, self.pad_id)
            tokens = self.reduce(torch.tensor(loss.tokens, device=device)).clamp(min=1)
            share = self.config.ptx_coefficient * loss.total / tokens
            self.accelerator.backward(share * self.accelerator.num_processes)
        return self.reduce(loss.total.detach().float() / tokens)[None]

    def _micro_batch(
        self, experience: Experience, rows: list[int], tokens: Tensor, *, weight: float
    ) -> Tensor:
        batch = pack_sequences(
            [experience.prompts[row] for row in rows],
            [experience.responses[row] for row in rows],
            pad_id=self.pad_id,
            device=experience.mask.device,
        )
        width = batch.mask.shape[1]

        def old(table: Tensor) -> Tensor:
            return table[rows, -width:]

        config = self.config
        with self.accelerator.autocast():
            result = self.model(batch, temperature=config.sampling.temperature)
        actor = policy_loss(
            result.log_probs,
            old(experience.log_probs),
            old(experience.advantages),
            batch.mask,
            clip_range=config.clip_range,
            tokens=tokens,
            weights=None if experience.importance is None else old(experience.importance),
        )
        loss, critic = actor.loss, ValueLoss(*torch.zeros(2, device=tokens.device))
        if self.actor.head is not None:
            critic = value_loss(
                result.values,
                old(experience.values),
                old(experience.returns),
                batch.mask,
                clip_range=config.value_clip_range,
                tokens=tokens,
            )
            loss = loss + config.value_coefficient * critic.loss
        # Gradients are averaged over processes; the loss is already a share of the global mean.
        self.accelerator.backward(loss * (weight * self.accelerator.num_processes))
        parts = (actor.loss, critic.loss, actor.clipped, critic.clipped, actor.approx_kl)
        return weight * torch.stack([part.detach().float() for part in parts])

    def _set_learning_rates(self, step: int) -> None:
        config = self.config
        warmup_steps = config.warmup_updates * config.epochs * config.mini_batches
        factor = warmup_factor(step, warmup_steps=warmup_steps)
        rates = (config.policy_learning_rate, config.value_learning_rate)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            group["lr"] = rate * factor

    def _clip_gradients(self) -> Tensor:
        """Clip policy and critic apart: the critic's scale is no reason to slow the policy."""
        self.accelerator.unscale_gradients()
        limit = self.config.max_grad_norm
        norm = clip_gradients(self.actor.policy_parameters(), limit)
        critic = self.actor.value_parameters()
        return torch.stack([norm, clip_gradients(critic, limit) if critic else 0 * norm])
