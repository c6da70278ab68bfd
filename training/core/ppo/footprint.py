"""What a PPO run will need, from its settings and the files that describe its networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from training.contracts import PpoConfig
from training.core.memory_estimate import Estimate, Job, Shape, estimate, shape_at
from training.core.run_directory import Run
from training.core.scoring import SETTINGS

__all__ = ["ppo_footprint"]


def ppo_footprint(run: Run[PpoConfig], *, processes: int, number: int, shards: int = 1) -> Estimate:
    """Policy and critic learn; the reference and every member of the reward models only score.

    `number` is the bytes of an activation; what learns, and the copy that is kept of it, lie in
    `shards` parts. With an adapter the weights below it learn nothing, which is left out: the
    estimate is then too high.
    """
    config = run.config
    policy = shape_at(str(run.input("policy")), speaks=True)
    members = [] if config.reward_function else _members(run.input("reward_model"))
    watched = run.inputs.get("held_out_reward_model")
    critic = [] if config.shared_backbone else [_silent(members[0] if members else policy)]
    # The healthy policy that an alarm would go back to.
    kept = replace(_silent(policy), parameters=-(-policy.parameters // shards))
    frozen = [shape_at(str(run.input("reference")), speaks=True), kept, *members]
    frozen += _members(watched) if watched else []
    length = config.max_prompt_tokens + config.sampling.max_new_tokens
    share = config.prompts_per_update // processes
    job = Job(
        rows=min(config.micro_batch_size, max(1, share // config.mini_batches)),
        length=length,
        logits=config.sampling.max_new_tokens,
        sampled_rows=min(config.sampling.batch_size, share),
        sampled_length=length,
        recompute=config.gradient_checkpointing,
        number=number,
    )
    return estimate([policy, *critic], frozen, job, shards=shards)


def _silent(shape: Shape) -> Shape:
    """A network without a head over the vocabulary."""
    return Shape(
        shape.parameters, shape.layers, shape.hidden, shape.feed_forward, shape.keys, vocabulary=0
    )


def _members(path: Path) -> list[Shape]:
    """The networks of a reward artifact; where it cannot be read, loading it says why."""
    try:
        members = json.loads((path / SETTINGS).read_text())["members"]
    except (OSError, ValueError, KeyError):
        return []
    return [shape_at(str(path / member["path"]), speaks=False) for member in members]
