"""What tuning a policy will need, from the settings of a run and the files that describe its networks.

In each estimate `number` is the bytes of an activation; what learns, and the copy that is kept of it, lie
in `shards` parts.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.contracts import AdapterConfig, BestOfNConfig, DpoConfig, PpoConfig
from training.core.model.adapted_classifier import WEIGHTS as ADAPTER_WEIGHTS
from training.core.model.memory_estimate import (
    NUMBER,
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
    "weights_fix",
]

DPO_FIXES = Fixes(sampling="measure.sampling.batch_size", recompute=False)
BEST_OF_N_FIXES = Fixes(
    training="batch_size",
    sampling="measure.sampling.batch_size",
    scoring="measure.sampling.batch_size",
    recompute=False,
)


def ppo_footprint(run: Run[PpoConfig], *, processes: int, number: int, shards: int = 1) -> Estimate:
    """Policy and critic, if there is one, learn; the reference and every member of the reward models only score."""
    config = run.config
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    held = _held(run, config.adapter, shards)
    models = [] if config.reward_function else _members_at(run.input("reward_model"), held)
    critic = _critic(config, policy, _critic_source(run), shards)
    length = config.max_prompt_tokens + config.sampling.max_new_tokens
    share = config.completions_per_update // processes
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
    beside = _frozen_beside(run, policy, config.adapter, shards, held)
    frozen = [*beside, *_engine_copy(policy, config)]
    if config.kl.reference_decay != 1:
        frozen.append(policy.weights_alone(policy.learned))
    if config.gradient_penalty > 0:  # weights and gradients as they were before the probe
        frozen.append(policy.weights_alone(2 * policy.learned))
    return estimate([policy, *critic], [*frozen, *models], job, shards=shards)


def dpo_footprint(run: Run[DpoConfig], *, processes: int, number: int, shards: int = 1) -> Estimate:
    """The policy learns from pairs whose texts are as long as they may be; reward models only watch.

    The pass of the reference over all pairs comes before there are gradients and moments, and has no
    backward pass: it is never the dearest moment.
    """
    config, measure = run.config, run.config.measure
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    watching = run.inputs.get("reward_model")
    held = _held(run, config.adapter, shards)
    models = _members_at(watching, held) if watching else []
    measured = -(-measure.prompts // processes)
    texts, sampled, asked = 2, min(measure.sampling.batch_size, measured), measure.max_prompt_tokens
    if (
        config.exploration > 0
    ):  # the reference answers every pair's prompt, and a pair is three texts
        texts, sampled, asked = 3, measure.sampling.batch_size, max(asked, config.max_length)
    job = Job(
        rows=texts
        * min(max(1, config.micro_batch_size // texts), -(-config.batch_size // processes)),
        length=config.max_length,
        logits=config.max_length,
        sampled_rows=sampled,
        sampled_length=asked + measure.sampling.max_new_tokens,
        scored_rows=min(config.micro_batch_size, measured),
        scored_logits=measure.sampling.max_new_tokens,
        number=number,
    )
    frozen = _frozen_beside(run, policy, config.adapter, shards, held)
    return estimate([policy], [*frozen, *models], job, shards=shards)


def best_of_n_footprint(
    run: Run[BestOfNConfig], *, processes: int, number: int, shards: int = 1
) -> Estimate:
    """The policy learns from winners as long as prompt and completion may be."""
    config, measure = run.config, run.config.measure
    policy = shape_at(str(run.input("policy")), speaks=True, adapter=config.adapter)
    held = _held(run, config.adapter, shards)
    models = [] if config.reward_function else _members_at(run.input("reward_model"), held)
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
    frozen = _frozen_beside(run, policy, config.adapter, shards, held)
    return estimate([policy], [*frozen, *models], job, shards=shards)


def _frozen_beside(
    run: Run[Any], policy: NetworkShape, adapter: AdapterConfig, shards: int, held: set[str]
) -> list[NetworkShape]:
    """What stands beside a policy that is tuned: its healthy weights that an alarm would go back to,
    the reference, and the held-out reward model."""
    kept = policy.weights_alone(-(-policy.learned // shards))
    watched = run.inputs.get("held_out_reward_model")
    members = _members_at(watched, held) if watched else []
    if reference_is_adapter_off(run, adapter):
        return [kept, *members]
    return [kept, shape_at(str(run.input("reference")), speaks=True), *members]


def _engine_copy(policy: NetworkShape, config: PpoConfig) -> list[NetworkShape]:
    """The weights that an engine of another kind or precision holds beside the policy's."""
    if config.rollout_engine != "vllm" and config.engine_dtype == "float32":
        return []
    share = 2 if config.engine_dtype == "bfloat16" else 1
    return [policy.weights_alone(policy.parameters // share)]


def _held(run: Run[Any], adapter: AdapterConfig, shards: int) -> set[str]:
    """Digests of the inputs on whose frozen weights reward models may stand: what `materials_open` offers."""
    if shards > 1:
        return set()
    names = ["policy"] if adapter.kind != "none" else []
    if not reference_is_adapter_off(run, adapter):
        names.append("reference")
    return {run.spec.inputs[name].sha256 for name in names}


def _members_at(path: Path, held: set[str]) -> list[NetworkShape]:
    """The networks of a reward artifact; where it cannot be read, loading it says why.

    What adapters stand on counts once, and not where `held` has it, in which it is noted.
    """
    document = _settings_at(path)
    places = [path / member["path"] for member in document.get("members", [])]
    base = document.get("base")
    if base is None:
        return [shape_at(str(place), speaks=False) for place in places]
    whole = shape_at(str(path / base["path"]), speaks=False)
    first = 0 if held & {base["sha256"], base["source"]} else whole.parameters
    held.add(base["sha256"])
    return [
        replace(whole.weights_alone(0 if number else first), adapter=_adapter_at(place))
        for number, place in enumerate(places)
    ]


def _settings_at(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((path / SETTINGS).read_text()))
    except (OSError, ValueError):
        return {}


def _adapter_at(path: Path) -> int:
    """The parameters of an adapter on disk, in float32 but for a short header."""
    file = path / ADAPTER_WEIGHTS
    return file.stat().st_size // NUMBER if file.exists() else 0


# ------------------------------------------------------------------------------- critic


def _critic_source(run: Run[PpoConfig]) -> tuple[NetworkShape, int] | None:
    """The first member of the reward model: its shape, and the parameters of its adapter or 0."""
    if run.config.reward_function:
        return None
    path = run.input("reward_model")
    document = _settings_at(path)
    if not document.get("members"):
        return None
    place = path / document["members"][0]["path"]
    base = document.get("base")
    return shape_at(str(path / base["path"] if base else place), speaks=False), _adapter_at(place)


def _critic(
    config: PpoConfig,
    policy: NetworkShape,
    source: tuple[NetworkShape, int] | None,
    shards: int,
) -> list[NetworkShape]:
    """Of a critic that is an adapter the weights are those of the network that it starts from."""
    if not config.has_critic or config.shared_backbone:
        return []
    read, adapter = source or (policy, 0)
    if config.adapter.kind == "none" or not config.critic_adapter:
        return [read.weights_alone(read.parameters)]
    own = read.parameters if shards > 1 else 0
    return [replace(read.weights_alone(own), adapter=adapter or policy.adapter)]


def weights_fix(run: Run[Any]) -> str:
    """How the networks of a run would come to share weights, for a run that does not fit; or nothing."""
    if run.config.adapter.kind == "none":
        return "set adapter, so that networks of one base hold its weights once, train reward models so too, or "
    names = [name for name in ("reward_model", "held_out_reward_model") if name in run.inputs]
    if any(_settings_at(run.inputs[name]).get("base") is None for name in names):
        return "train the reward models with adapter, so that they hold the policy's weights, or "
    return ""
