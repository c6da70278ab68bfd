"""One PPO update: epochs over mini-batches over micro-batches of one stored experience."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.contracts import PpoConfig
from training.core.data.sequences import (
    SequenceBatch,
    length_buckets,
    pack_sequences,
    pass_overhead,
)
from training.core.model.actor_critic import ActorCritic, Evaluation
from training.core.model.gradient_penalty import penalise_gradients
from training.core.ppo.demonstrations import DemonstrationFeed
from training.core.ppo.experience import Experience
from training.core.ppo.losses import PolicyLoss, ValueLoss, policy_loss, value_loss
from training.core.ppo.pairwise import pair_policy_loss
from training.core.ppo.update_statistics import UpdateStatistics
from training.core.rollout.reduction import Reduce
from training.core.sharding import clip_gradients, equal_passes, is_sharded

__all__ = ["Learner", "make_optimizer", "mini_batches", "warmup_factor"]


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


def mini_batches(
    rows: int, parts: int, *, generator: torch.Generator, together: int = 1
) -> Iterator[list[int]]:
    """A random partition of `rows` rollouts into `parts` parts of equal size; stretches of `together` stay whole."""
    drawn = torch.randperm(rows // together, generator=generator).tolist()
    order = [together * stretch + i for stretch in drawn for i in range(together)]
    size = rows // parts
    return (order[start : start + size] for start in range(0, size * parts, size))


@dataclass(frozen=True)
class _Step:
    """What one optimiser step is on: completions of this process in passes, and what a loss divides by: the
    tokens and the pairs of the mini-batch on all processes. A process without one adds 0 (`weight`)."""

    experience: Experience
    passes: list[list[int]]
    tokens: Tensor
    pairs: Tensor
    weight: float


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
                together=self._together,
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
        device, config = experience.mask.device, self.config
        # The others wait for gradients: a process without a completion in this mini-batch adds 0.
        share = part or list(range(self._together))
        work = _Step(
            experience,
            self._passes(experience, share),
            self.reduce(experience.mask[list(part)].sum()),
            self.reduce(torch.tensor(len(part) // 2, device=device)),
            weight=1.0 if part else 0.0,
        )
        sums, ptx = self._gradients(work, step)
        if config.gradient_penalty > 0:
            scaler = self.accelerator.scaler
            penalise_gradients(
                self.actor.policy_parameters(),
                lambda: self._gradients(work, step),
                penalty=config.gradient_penalty,
                probe=config.gradient_probe,
                scale=1.0 if scaler is None else scaler.get_scale(),
                beside=self.actor.value_parameters(),
            )
        norms = self._clip_gradients()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        sums = self.reduce(sums)
        return torch.cat([sums[:2], sums[2:] / work.tokens, norms, ptx])

    @property
    def _together(self) -> int:
        """How many completions in a row one pass has to see."""
        return 2 if self.config.advantage == "p3o" else 1

    def _passes(self, experience: Experience, part: Sequence[int]) -> list[list[int]]:
        """The completions of a mini-batch in passes over texts of like length."""
        whole = self._together
        lengths = [len(experience.prompts[r]) + len(experience.responses[r]) for r in part]
        buckets = length_buckets(
            [max(lengths[i : i + whole]) for i in range(0, len(part), whole)],
            size=max(1, self.config.micro_batch_size // whole),
            packed=self.actor.packed,
            overhead=pass_overhead(experience.mask.device),
        )
        return [[part[whole * i + j] for i in bucket for j in range(whole)] for bucket in buckets]

    def _gradients(self, work: _Step, step: int) -> tuple[Tensor, Tensor]:
        """Add the gradients of one step; returns the sums of its statistics, and the loss on demonstrations."""
        device = work.experience.mask.device
        sums = torch.zeros(5, device=device)
        ptx = self._pretraining(step, device)
        passes = equal_passes(self.model, len(work.passes), device=device)
        for number in range(passes):
            # Processes meet once per step, at the last micro-batch, however many each one has; with
            # sharded networks at each, so that some add their shortest completion with weight 0.
            meet = number == passes - 1 or is_sharded(self.model)
            spare = number >= len(work.passes)
            rows = work.passes[0][: self._together] if spare else work.passes[number]
            with nullcontext() if meet else self.accelerator.no_sync(self.model):
                sums += self._micro_batch(work, rows, weight=0.0 if spare else work.weight)
        return sums, ptx

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

    def _micro_batch(self, work: _Step, rows: list[int], *, weight: float) -> Tensor:
        experience = work.experience
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
        actor = self._policy_loss(work, rows, result, batch)
        loss, critic = actor.loss, ValueLoss(*torch.zeros(2, device=work.tokens.device))
        if self.actor.head is not None:
            critic = value_loss(
                result.values,
                old(experience.values),
                old(experience.returns),
                batch.mask,
                clip_range=config.value_clip_range,
                tokens=work.tokens,
            )
            loss = loss + config.value_coefficient * critic.loss
        # Gradients are averaged over processes; the loss is already a share of the global mean.
        self.accelerator.backward(loss * (weight * self.accelerator.num_processes))
        parts = (actor.loss, critic.loss, actor.clipped, critic.clipped, actor.approx_kl)
        return weight * torch.stack([part.detach().float() for part in parts])

    def _policy_loss(
        self, work: _Step, rows: list[int], result: Evaluation, batch: SequenceBatch
    ) -> PolicyLoss:
        experience, config, width = work.experience, self.config, batch.mask.shape[1]
        before, advantages = (
            table[rows, -width:] for table in (experience.log_probs, experience.advantages)
        )
        if config.advantage == "p3o":
            return pair_policy_loss(
                result.log_probs,
                before,
                advantages[::2, -1],
                batch.mask,
                clip_range=config.clip_range,
                ratio_cap=config.pair_ratio_cap,
                pairs=work.pairs,
            )
        weights = experience.importance
        return policy_loss(
            result.log_probs,
            before,
            advantages,
            batch.mask,
            clip_range=config.clip_range,
            tokens=work.tokens,
            weights=None if weights is None else weights[rows, -width:],
        )

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
