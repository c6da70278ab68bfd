"""Settings that cannot work, found before anything is loaded."""

from __future__ import annotations

import math

from training.contracts import PpoConfig
from training.core.engines.vllm import check_vllm
from training.core.tuning.settings import require, require_above_zero, require_not_negative

__all__ = ["check_settings"]

PPO = "PPO"

_POSITIVE = (
    "updates",
    "prompts_per_update",
    "completions_per_prompt",
    "epochs",
    "mini_batches",
    "micro_batch_size",
    "policy_learning_rate",
    "value_learning_rate",
    "clip_range",
    "value_clip_range",
    "max_grad_norm",
    "gradient_probe",
    "max_prompt_tokens",
    "checkpoint_every",
    "evaluate_every",
    "ptx_batch_size",
    "pessimism_temperature",
    "reference_completions",
    "shaping_slope",
    "verifier_seconds",
    "verifier_megabytes",
)
_NOT_NEGATIVE = (
    "warmup_updates",
    "value_coefficient",
    "gradient_penalty",
    "missing_eos_penalty",
    "variance_weight",
    "early_stop_update_kl",
    "exact_kl_rollouts",
    "held_out_patience",
    "ptx_coefficient",
    "outlier_texts",
)


def check_settings(config: PpoConfig, *, processes: int) -> None:
    """Raise `UserError` with one sentence on the first setting that cannot work."""
    require_above_zero(config, _POSITIVE, PPO)
    require_not_negative(config, _NOT_NEGATIVE, PPO)
    for name in ("gamma", "gae_lambda"):
        value = getattr(config, name)
        _require(0 <= value <= 1, f"{name} is {value}; set it between 0 and 1.")
    _check_advantage(config)
    _check_sampling(config)
    _check_kl(config)
    _check_outliers(config)
    _check_engine(config, processes)
    _check_optimizer_steps(config, processes)


def _require(condition: bool, sentence: str) -> None:
    require(condition, PPO, sentence)


def _check_advantage(config: PpoConfig) -> None:
    _require(
        config.advantage not in ("rloo", "grpo") or config.completions_per_prompt > 1,
        f"advantage {config.advantage!r} compares the completions of a prompt with one another, and "
        "completions_per_prompt is 1; set it to 2 or more.",
    )
    if config.advantage == "p3o":
        _check_pairs(config)
    _require(
        config.has_critic or not config.shared_backbone,
        f"shared_backbone is about the critic, and advantage {config.advantage!r} has none; set it to "
        "false.",
    )


def _check_pairs(config: PpoConfig) -> None:
    _require(
        config.completions_per_prompt % 2 == 0,
        "advantage 'p3o' compares two completions of a prompt with one another, and completions_per_prompt is "
        f"{config.completions_per_prompt}; set it to an even number.",
    )
    _require(
        config.rollout_engine == "own",
        f"advantage 'p3o' weighs whole pairs, and rollout_engine {config.rollout_engine!r} has weights of tokens;"
        " set rollout_engine to 'own'.",
    )
    _require(
        config.pair_ratio_cap >= 1,
        f"pair_ratio_cap is {config.pair_ratio_cap}; set it to 1 (all pairs weigh alike) or more.",
    )


def _check_sampling(config: PpoConfig) -> None:
    sampling = config.sampling
    _require(sampling.max_new_tokens > 0, "sampling.max_new_tokens must be above 0.")
    _require(sampling.batch_size > 0, "sampling.batch_size must be above 0.")
    _require(
        sampling.temperature > 0,
        f"sampling.temperature is {sampling.temperature}; PPO explores by sampling, set it above 0.",
    )
    _require(
        sampling.top_k == 0 and sampling.top_p == 1.0,
        f"sampling.top_k is {sampling.top_k} and top_p {sampling.top_p}; PPO's ratios hold for the "
        "whole distribution only, set top_k to 0 and top_p to 1.",
    )


def _check_kl(config: PpoConfig) -> None:
    kl = config.kl
    _require(kl.beta >= 0, f"kl.beta is {kl.beta}; set it to 0 or more.")
    _require(kl.budget >= 0, f"kl.budget is {kl.budget}; set it to 0 (none) or more.")
    _require(
        0 < kl.reference_decay <= 1,
        f"kl.reference_decay is {kl.reference_decay}; set it above 0, up to 1 (the reference stays).",
    )
    if kl.kind == "lagrangian":
        _require(
            kl.target > 0 and kl.rate > 0,
            "lagrangian KL control needs kl.target and kl.rate above 0.",
        )
    if kl.kind == "adaptive":
        _require(
            kl.beta > 0 and kl.target > 0 and kl.horizon > 0,
            "adaptive KL control needs kl.beta, kl.target and kl.horizon above 0.",
        )
        _require(
            kl.horizon >= config.completions_per_update,
            f"kl.horizon is {kl.horizon}, less than the {config.completions_per_update} completions of one"
            " update: no controller steers within an update; set it to several updates' completions.",
        )


def _check_outliers(config: PpoConfig) -> None:
    texts, quantile, share = (
        config.outlier_texts,
        config.outlier_quantile,
        config.alarms.outlier_share,
    )
    _require(0 < quantile < 1, f"outlier_quantile is {quantile}; set it above 0, below 1.")
    _require(
        texts > 0 or share == 0,
        "alarms.outlier_share watches texts outside what the reference writes, and outlier_texts is 0: set"
        " it to 256, or outlier_share to 0.",
    )
    if texts == 0:
        return
    _require(
        not config.reward_function,
        "outlier_texts is about what a reward model reads, and reward_function takes its place; set one of"
        " them to its default.",
    )
    needed = 2 * math.ceil(quantile / (1 - quantile) - 1e-9)
    _require(
        texts >= needed,
        f"outlier_texts is {texts}, half of which are too few for an outlier_quantile of {quantile}; set it"
        f" to {needed} or more.",
    )
    _require(
        share == 0 or 1 - quantile < share < 1,
        f"alarms.outlier_share is {share}; set it above {1 - quantile:.3g}, the share of the reference's own"
        " texts that lie outside, and below 1, or to 0 (never).",
    )


def _check_engine(config: PpoConfig, processes: int) -> None:
    cap = config.importance_cap
    _require(
        cap >= 1,
        f"importance_cap is {cap}, which would weigh down sound tokens; set it to 1 or more.",
    )
    _require(
        config.rollout_engine != "own" or config.engine_dtype == "float32",
        f"engine_dtype {config.engine_dtype!r} belongs to another engine, and rollout_engine is 'own', "
        "which draws in the policy's own precision; set engine_dtype to 'float32'.",
    )
    if config.rollout_engine == "vllm":
        check_vllm(processes=processes)


def _check_optimizer_steps(config: PpoConfig, processes: int) -> None:
    """Equal mini-batches on every process: else the number of optimiser steps is not what it says.

    All completions of a prompt are on one process.
    """
    _require(
        config.prompts_per_update % processes == 0,
        f"prompts_per_update is {config.prompts_per_update}, which {processes} processes cannot share "
        f"evenly; use a multiple of {processes}.",
    )
    parts, completions = config.mini_batches * processes, config.completions_per_update
    parts *= 2 if config.advantage == "p3o" else 1  # both of a pair are in one mini-batch
    _require(
        completions % parts == 0,
        f"prompts_per_update times completions_per_prompt is {completions}, which {config.mini_batches} "
        f"mini-batches on {processes} process(es) cannot share evenly; use a multiple of {parts}.",
    )
