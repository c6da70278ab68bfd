"""What every optimiser of a policy begins with: networks, prompts and rewards, shown to fit together; among
them the reference, the policy that KL is measured to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from annotation.rows import PromptRow
from training.contracts import AdapterConfig, BestOfNConfig, DpoConfig, MeasureConfig, PpoConfig
from training.core.data.json_lines import prompts_read
from training.core.model.actor_critic import ActorCritic, backbone_of
from training.core.model.loading import LoadedModel, policy_load_path
from training.core.model.lora import AdapterOff
from training.core.model.shared_base import BasePool
from training.core.rollout import preflight
from training.core.rollout.engine import RolloutEngine
from training.core.rollout.model_checks import checks_pass, policy_checks
from training.core.rollout.preflight import check_vocabularies
from training.core.rollout.rewarding import Rewarder, rewarder_open
from training.core.rollout.rollouts import Sampler
from training.core.rollout.verifying import Verifier
from training.core.run.run_directory import Run
from training.core.sharding import parameters_cast

__all__ = [
    "Materials",
    "TuningConfig",
    "materials_open",
    "measure_of",
    "reference_cast",
    "reference_is_adapter_off",
    "reference_open",
    "sampler_open",
]

TuningConfig = PpoConfig | DpoConfig | BestOfNConfig


@dataclass(frozen=True)
class Materials:
    """On their device, the policy not yet handed to the processes; `rewarder` is None where DPO needs none."""

    policy: LoadedModel
    reference: Any
    rewarder: Rewarder | None
    prompts: list[PromptRow]
    prompt_ids: list[list[int]]


def measure_of(config: TuningConfig) -> PpoConfig | MeasureConfig:
    """The settings by which a policy is asked for completions; PPO measures on those it learns from."""
    return config if isinstance(config, PpoConfig) else config.measure


def materials_open(run: Run[Any], *, device: torch.device, share: bool = True) -> Materials:
    """Load and check; raises `UserError` with one sentence on the first thing that does not fit.

    `share`: reward models that are adapters may stand on the weights of a frozen policy.
    """
    config, measure = run.config, measure_of(run.config)
    policy = policy_load_path(run.input("policy"))
    prompts = prompts_read(run.input("prompts"))
    prompt_ids = preflight.encode_prompts(policy, prompts, measure)
    policy.model.to(device).eval()
    reference = reference_open(run, policy, config.adapter, device=device)
    checks_pass(policy_checks(policy, prompt_ids, measure, config.adapter))
    preflight.check_patience(run, measure.held_out_patience)
    pool = BasePool()
    if share:
        _frozen_offer(pool, policy, reference, config.adapter)
    rewarder = _rewarder_open(run, config, device, pool)
    if rewarder is not None:
        new = measure.sampling.max_new_tokens
        run.warn("texts", preflight.check_reward_texts(rewarder, prompts, max_new_tokens=new))
        preflight.check_rewarder(rewarder, prompts)
    return Materials(policy, reference, rewarder, prompts, prompt_ids)


def _frozen_offer(
    pool: BasePool, policy: LoadedModel, reference: Any, adapter: AdapterConfig
) -> None:
    """What stands still: a policy below its adapter, and a reference of its own."""
    if adapter.kind != "none":
        pool.offer(backbone_of(policy.model))
    if isinstance(reference, nn.Module):
        pool.offer(backbone_of(reference))


def _rewarder_open(
    run: Run[Any], config: TuningConfig, device: torch.device, pool: BasePool
) -> Rewarder | None:
    """DPO learns from the pairs themselves: a reward model only watches, where there is one."""
    if isinstance(config, DpoConfig) and "reward_model" not in run.inputs:
        return None
    verifier = None
    if isinstance(config, PpoConfig) and config.verifier:
        verifier = Verifier(config.verifier, config.verifier_seconds, config.verifier_megabytes)
    return rewarder_open(
        run,
        combination=config.reward_combination,
        variance_weight=config.variance_weight,
        pessimism_temperature=config.pessimism_temperature,
        function="" if isinstance(config, DpoConfig) else config.reward_function,
        verifier=verifier,
        verifier_weight=config.verifier_weight if isinstance(config, PpoConfig) else 1.0,
        packed=isinstance(config, PpoConfig) and config.packed,
        device=device,
        pool=pool,
    )


def sampler_open(
    materials: Materials,
    engine: RolloutEngine,
    actor: ActorCritic,
    accelerator: Any,
    *,
    measure: PpoConfig | MeasureConfig,
    batch_size: int,
    importance_cap: float = 1.0,
) -> Sampler:
    """What draws completions and scores each once; `batch_size` is that of scoring."""
    return Sampler(
        engine=engine,
        policy=materials.policy,
        actor=actor,
        reference=materials.reference,
        rewarder=materials.rewarder,
        temperature=measure.sampling.temperature,
        batch_size=batch_size,
        exact_rollouts=-(-measure.exact_kl_rollouts // accelerator.num_processes),
        device=accelerator.device,
        reduce=lambda value: accelerator.reduce(value, reduction="sum"),
        importance_cap=importance_cap,
    )


def reference_is_adapter_off(run: Run[Any], adapter: AdapterConfig) -> bool:
    """Whether an adapter is trained on the very policy that is the reference."""
    run.input("reference")  # says so where it is missing
    same = run.spec.inputs["reference"].sha256 == run.spec.inputs["policy"].sha256
    return adapter.kind != "none" and same


def reference_open(
    run: Run[Any], policy: LoadedModel, adapter: AdapterConfig, *, device: torch.device
) -> Any:
    """The input "reference", frozen; called like a model.

    Where `reference_is_adapter_off` it is the policy with its adapter switched off, and nothing is
    loaded twice.
    """
    if reference_is_adapter_off(run, adapter):
        return AdapterOff(policy.model)
    reference = policy_load_path(run.input("reference"))
    check_vocabularies(policy, reference)
    return reference.model.to(device).eval().requires_grad_(False)


def reference_cast(reference: Any, dtype: torch.dtype) -> None:
    """Weights as the sharded policy computes with: the same policy must give the same logits."""
    if isinstance(reference, nn.Module) and dtype != torch.float32:
        parameters_cast(reference, dtype)
