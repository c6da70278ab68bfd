"""Numbers of a plan that cannot work: said when the plan is written, not at night after an hour of training.

The programs look again at what they were ordered, and at what only they can know. A range that is zero
or more is that of a setting that zero switches off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

MOST = 2**31 - 1  # what a column of whole numbers holds

Range = tuple[Callable[[float], bool], str]
ABOVE_ZERO: Range = (lambda value: value > 0, "set it above 0")
NOT_NEGATIVE: Range = (lambda value: value >= 0, "set it to 0 or more")
SHARE: Range = (lambda value: 0 <= value <= 1, "set it between 0 and 1")
LEVEL: Range = (lambda value: 0 < value < 1, "set it above 0 and below 1")
PART: Range = (lambda value: 0 <= value < 1, "set it to 0 or more, below 1")
TOP_P: Range = (lambda value: 0 < value <= 1, "set it above 0, up to 1")
ONE: Range = (lambda value: value >= 1, "set it to 1 or more")
TWO: Range = (lambda value: value >= 2, "set it to 2 or more")
NO_FILTER: Range = (
    lambda value: value == 0,
    "KL is measured on the whole distribution, set it to 0",
)
ALL_MASS: Range = (
    lambda value: value == 1,
    "KL is measured on the whole distribution, set it to 1",
)


def _of(where: str, how: Range, names: str) -> dict[str, Range]:
    return {f"{where}{name}": how for name in names.split()}


def _sampling(where: str) -> dict[str, Range]:
    return {
        **_of(where, ABOVE_ZERO, "max_new_tokens batch_size"),
        **_of(where, NOT_NEGATIVE, "temperature top_k"),
        f"{where}top_p": TOP_P,
    }


def _exploring(where: str) -> dict[str, Range]:
    return {
        **_of(where, ABOVE_ZERO, "max_new_tokens batch_size temperature"),
        f"{where}top_k": NO_FILTER,
        f"{where}top_p": ALL_MASS,
    }


def _alarms(where: str) -> dict[str, Range]:
    return _of(where, NOT_NEGATIVE, "kl_limit entropy_share reward_rise outlier_share patience")


def _measured(where: str) -> dict[str, Range]:
    return {
        **_of(where, ABOVE_ZERO, "points prompts max_prompt_tokens"),
        **_of(where, NOT_NEGATIVE, "exact_kl_rollouts kl_budget held_out_patience"),
        **_alarms(f"{where}alarms."),
        **_exploring(f"{where}sampling."),
    }


PPO: dict[str, Range] = {
    **_of(
        "policy.", ABOVE_ZERO,
        "updates prompts_per_update completions_per_prompt epochs mini_batches micro_batch_size"
        " policy_learning_rate value_learning_rate clip_range value_clip_range max_grad_norm"
        " max_prompt_tokens checkpoint_every evaluate_every ptx_batch_size pessimism_temperature"
        " reference_completions shaping_slope verifier_seconds verifier_megabytes gradient_probe",
    ),
    **_of(
        "policy.", NOT_NEGATIVE,
        "warmup_updates value_coefficient missing_eos_penalty variance_weight early_stop_update_kl"
        " exact_kl_rollouts held_out_patience ptx_coefficient outlier_texts gradient_penalty",
    ),
    **_of("policy.", SHARE, "gamma gae_lambda"),
    **_of("policy.", LEVEL, "outlier_quantile"),
    **_of("policy.", ONE, "importance_cap pair_ratio_cap"),
    **_of("policy.kl.", NOT_NEGATIVE, "beta budget"),
    **_of("policy.kl.", TOP_P, "reference_decay"),
    **_alarms("policy.alarms."),
    **_exploring("policy.sampling."),
}  # fmt: skip
DPO: dict[str, Range] = {
    **_of(
        "dpo.", ABOVE_ZERO,
        "pessimism_temperature beta epochs batch_size micro_batch_size learning_rate max_grad_norm"
        " max_length checkpoint_every log_every desirable_weight undesirable_weight",
    ),
    **_of("dpo.", NOT_NEGATIVE, "simpo_margin variance_weight exploration"),
    **_of("dpo.", PART, "held_out_share warmup_share"),
    **_measured("dpo.measure."),
}  # fmt: skip
BEST_OF_N: dict[str, Range] = {
    **_of(
        "best_of_n.", ABOVE_ZERO,
        "pessimism_temperature iterations prompts_per_iteration epochs batch_size learning_rate"
        " max_grad_norm checkpoint_every log_every",
    ),
    **_of("best_of_n.", TWO, "n"),
    **_of("best_of_n.", NOT_NEGATIVE, "missing_eos_penalty variance_weight"),
    **_of("best_of_n.", PART, "warmup_share"),
    **_measured("best_of_n.measure."),
}  # fmt: skip
OPTIMIZERS = {"ppo": PPO, "dpo": DPO, "best_of_n": BEST_OF_N}

FRESH = _of(
    "reward_model.backbone.", ABOVE_ZERO,
    "hidden_size layers heads feed_forward max_positions init_std vocabulary_limit",
)  # fmt: skip
ALWAYS: dict[str, Range] = {
    **_of("", NOT_NEGATIVE, "seed minimum_fresh_labels next_pairs snapshot.recency_half_life_days"),
    **_of("", SHARE, "minimum_reward_accuracy"),
    **_of("reward_model.", ABOVE_ZERO, "learning_rate max_length max_grad_norm gradient_probe"),
    **_of("reward_model.", NOT_NEGATIVE, "weight_decay micro_batch_size gradient_penalty"),
    **_of("reward_model.", PART, "warmup_share"),
    **_of("evaluate_reward_model.", ABOVE_ZERO, "batch_size bins length_buckets"),
    **_of("evaluate_reward_model.", NOT_NEGATIVE, "null_resamples minimum_slice"),
    **_of("evaluate_reward_model.", LEVEL, "level"),
    **_of(
        "evaluate_policy.", ABOVE_ZERO,
        "samples_per_prompt max_prompt_tokens scoring_batch_size bootstrap_resamples",
    ),
    **_of("evaluate_policy.", NOT_NEGATIVE, "max_prompts samples_limit distinct_tokens"),
    **_of("evaluate_policy.", LEVEL, "level"),
    **_sampling("evaluate_policy.sampling."),
    **_of("sampling.", ABOVE_ZERO, "completions_per_prompt"),
    **_sampling("sampling.sampling."),
    **_of("time_limits.", NOT_NEGATIVE, "reward_training policy_training evaluation sampling"),
}  # fmt: skip


def range_problem(settings: Iterable[tuple[str, Any]], *, optimizer: str, fresh: bool) -> str:
    """One sentence on the first of a plan's (dotted path, value) that cannot work, or "".

    Asked of the optimiser that is to be used, and of sizes where the reward model is `fresh`.
    """
    ranges = {**ALWAYS, **OPTIMIZERS[optimizer], **(FRESH if fresh else {})}
    for path, value in settings:
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value):
            return f"{path} is {value}; write a finite number."
        if isinstance(value, int) and abs(value) > MOST:
            return f"{path} is too large; set it to {MOST:,} at most."
        if path.startswith("snapshot.weights."):
            fits, how = NOT_NEGATIVE
        else:
            fits, how = ranges.get(path, (lambda _: True, ""))
        if not fits(value):
            return f"{path} is {value}; {how}."
    return ""
