"""What tuning a policy will need, from the settings of a run and the files that describe its networks.

In each estimate `number` is the bytes of an activation; what learns, and the copy that is kept of it, lie
in `shards` parts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.contracts import AdapterConfig, BestOfNConfig, DpoConfig, PpoConfig
from training.core.model.memory_estimate import (
    Estimate,
    Fixes,
    Job,
    NetworkShape,
    estimate,
    shape_at,
)
from training.core.reward.scoring import SETTINGS
from training.core.run.run_directory import Run
from training.core.tuning.materials import reference_is_adapter_off

__all__ = [
    "BEST_OF_N_FIXES",
    "DPO_FIXES",
    "best_of_n_footprint",
    "dpo_footprint",
    "ppo_footprint",
]

DPO_FIXES = Fixes(sampling="measure.sampling.batch_size", recompute=False)
BEST_OF_N_FIXES = Fixes(
    training="batch_size",
    sampling="measure.sampling.batch_size",
    scoring="measure.sampling.batch_size",
    recompute=False,
)


def ppo_footprint(run: Run[PpoConfig], *, processes: int, number: int, shards: int = 1) -> Estimate:
    """Policy and critic learn; the reference and every member of the reward models only score."""
    config = run.config
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    models = [] if config.reward_function else _members_at(run.input("reward_model"))
    read = models[0] if models else policy
    critic = [] if config.shared_backbone else [read.weights_alone(read.parameters)]
    length = config.max_prompt_tokens + config.sampling.max_new_tokens
    share = config.prompts_per_update // processes
    job = Job(
        rows=min(config.micro_batch_size, max(1, share // config.mini_batches)),
        length=length,
        logits=config.sampling.max_new_tokens,
        sampled_rows=min(config.sampling.batch_size, share),
        sampled_length=length,
        scored_rows=min(config.micro_batch_size, share),
        scored_logits=config.sampling.max_new_tokens,
        recompute=config.gradient_checkpointing,
        number=number,
    )
    frozen = [*_frozen_beside(run, policy, config.adapter, shards), *_engine_copy(policy, config)]
    return estimate([policy, *critic], [*frozen, *models], job, shards=shards)


def dpo_footprint(run: Run[DpoConfig], *, processes: int, number: int, shards: int = 1) -> Estimate:
    """The policy learns from pairs whose texts are as long as they may be; reward models only watch.

    The pass of the reference over all pairs comes before there are gradients and moments, and has no
    backward pass: it is never the dearest moment.
    """
    config, measure = run.config, run.config.measure
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    watching = run.inputs.get("reward_model")
    models = _members_at(watching) if watching else []
    measured = -(-measure.prompts // processes)
    job = Job(
        rows=2 * min(max(1, config.micro_batch_size // 2), -(-config.batch_size // processes)),
        length=config.max_length,
        logits=config.max_length,
        sampled_rows=min(measure.sampling.batch_size, measured),
        sampled_length=measure.max_prompt_tokens + measure.sampling.max_new_tokens,
        scored_rows=min(config.micro_batch_size, measured),
        scored_logits=measure.sampling.max_new_tokens,
        number=number,
    )
    frozen = _frozen_beside(run, policy, config.adapter, shards)
    return estimate([policy], [*frozen, *models], job, shards=shards)


def best_of_n_footprint(
    run: Run[BestOfNConfig], *, processes: int, number: int, shards: int = 1
) -> Estimate:
    """The policy learns from winners as long as prompt and completion may be."""
    config, measure = run.config, run.config.measure
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    models = [] if config.reward_function else _members_at(run.input("reward_model"))
    measured = -(-measure.prompts // processes)
    drawn = config.n * -(-config.prompts_per_iteration // processes)
    length = measure.max_prompt_tokens + measure.sampling.max_new_tokens
    job = Job(
        rows=-(-config.batch_size // processes),
        length=length,
        logits=length,
        sampled_rows=min(measure.sampling.batch_size, max(measured, drawn)),
        sampled_length=length,
        scored_rows=min(measure.sampling.batch_size, measured),
        scored_logits=measure.sampling.max_new_tokens,
        number=number,
    )
    frozen = _frozen_beside(run, policy, config.adapter, shards)
    return estimate([policy], [*frozen, *models], job, shards=shards)


def _frozen_beside(
    run: Run[Any], policy: NetworkShape, adapter: AdapterConfig, shards: int
) -> list[NetworkShape]:
    """What stands beside a policy that is tuned: its healthy weights that an alarm would go back to,
    the reference, and the held-out reward model."""
    kept = policy.weights_alone(-(-policy.learned // shards))
    watched = run.inputs.get("held_out_reward_model")
    members = _members_at(watched) if watched else []
    if reference_is_adapter_off(run, adapter):
        return [kept, *members]
    return [kept, shape_at(str(run.input("reference")), speaks=True), *members]


def _engine_copy(policy: NetworkShape, config: PpoConfig) -> list[NetworkShape]:
    """The weights that an engine of another kind or precision holds beside the policy's."""
    if config.rollout_engine != "vllm" and config.engine_dtype == "float32":
        return []
    share = 2 if config.engine_dtype == "bfloat16" else 1
    return [policy.weights_alone(policy.parameters // share)]


def _members_at(path: Path) -> list[NetworkShape]:
    """The networks of a reward artifact; where it cannot be read, loading it says why."""
    try:
        members = json.loads((path / SETTINGS).read_text())["members"]
    except (OSError, ValueError, KeyError):
        return []
    return [shape_at(str(path / member["path"]), speaks=False) for member in members]
