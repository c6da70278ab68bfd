"""Measuring a policy that learns from a fixed data set: the rows that PPO's rollouts give for nothing.

At every point the policy answers the same prompts with the same random numbers, so that two rows
differ by what was learned between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.rows import PromptRow
from training.contracts import MeasureConfig
from training.core.data.randomness import PromptOrder, derive_seed
from training.core.model.actor_critic import ActorCritic
from training.core.rollout.engine import OwnEngine
from training.core.rollout.rollouts import Rollout, Sampler
from training.core.run.throughput import Throughput
from training.core.tuning.materials import Materials, sampler_open

__all__ = ["PolicyMeter", "measure_points", "meter_open"]


@dataclass(frozen=True)
class PolicyMeter:
    """This process's share of the prompts, and the networks that write and judge."""

    sampler: Sampler
    rows: list[PromptRow]
    prompt_ids: list[list[int]]
    seeds: list[int]

    def measure(self, throughput: Throughput) -> Rollout:
        with throughput.timed("rollout", self.sampler.device):
            episodes = self.sampler.sample(self.prompt_ids, self.seeds)
        with throughput.timed("score", self.sampler.device):
            rollout = self.sampler.score(self.rows, episodes)
        throughput.tokens["rollout"] += episodes.written
        throughput.tokens["score"] += episodes.read
        return rollout


def meter_open(
    materials: Materials, *, config: MeasureConfig, seed: int, batch_size: int, accelerator: Any
) -> PolicyMeter:
    """The prompts are drawn from `seed`; there may be fewer than `config.prompts`."""
    rank, processes = accelerator.process_index, accelerator.num_processes
    policy, prompts, prompt_ids = materials.policy, materials.prompts, materials.prompt_ids
    order = PromptOrder(len(prompts), seed=derive_seed(seed, "measure"))
    chosen = order.take(0, min(config.prompts, len(prompts)))
    own = list(range(len(chosen)))[rank::processes]
    sampler = sampler_open(
        materials,
        OwnEngine(policy, config.sampling),
        ActorCritic.shared(policy.model),
        accelerator,
        measure=config,
        batch_size=batch_size,
    )
    return PolicyMeter(
        sampler=sampler,
        rows=[prompts[chosen[i]] for i in own],
        prompt_ids=[prompt_ids[chosen[i]] for i in own],
        seeds=[derive_seed(seed, "measure", i) for i in own],
    )


def measure_points(steps: int, points: int) -> frozenset[int]:
    """Steps at which the policy is measured: 0, `steps`, and evenly between."""
    return frozenset(round(i * steps / points) for i in range(points + 1))
