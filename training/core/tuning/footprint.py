"""What a run of DPO or best-of-n will need, from its settings and the files of its networks."""

from __future__ import annotations

from training.contracts import BestOfNConfig, DpoConfig
from training.core.model.memory_estimate import Estimate, Fixes, Job, estimate, shape_at
from training.core.ppo.footprint import frozen_beside, members_at
from training.core.run.run_directory import Run

__all__ = ["BEST_OF_N_FIXES", "DPO_FIXES", "best_of_n_footprint", "dpo_footprint"]

DPO_FIXES = Fixes(sampling="measure.sampling.batch_size", recompute=False)
BEST_OF_N_FIXES = Fixes(
    training="batch_size",
    sampling="measure.sampling.batch_size",
    scoring="measure.sampling.batch_size",
    recompute=False,
)


def dpo_footprint(run: Run[DpoConfig], *, processes: int, number: int, shards: int = 1) -> Estimate:
    """The policy learns from pairs whose texts are as long as they may be; reward models only watch.

    The pass of the reference over all pairs comes before there are gradients and moments, and has no
    backward pass: it is never the dearest moment. `number` is the bytes of an activation; what learns
    lies in `shards` parts.
    """
    config, measure = run.config, run.config.measure
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    watching = run.inputs.get("reward_model")
    models = members_at(watching) if watching else []
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
    frozen = frozen_beside(run, policy, config.adapter, shards)
    return estimate([policy], [*frozen, *models], job, shards=shards)


def best_of_n_footprint(
    run: Run[BestOfNConfig], *, processes: int, number: int, shards: int = 1
) -> Estimate:
    """The policy learns from winners as long as prompt and completion may be.

    `number` is the bytes of an activation; what learns lies in `shards` parts.
    """
    config, measure = run.config, run.config.measure
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    models = [] if config.reward_function else members_at(run.input("reward_model"))
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
    frozen = frozen_beside(run, policy, config.adapter, shards)
    return estimate([policy], [*frozen, *models], job, shards=shards)
