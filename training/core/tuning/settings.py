"""Settings that cannot work, found before anything is loaded: of DPO and best-of-n, and how each is said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from training.contracts import BestOfNConfig, DpoConfig, MeasureConfig
from training.core.run.errors import UserError

__all__ = ["check_best_of_n", "check_dpo", "require", "require_above_zero", "require_not_negative"]

_DPO_POSITIVE = (
    "pessimism_temperature",
    "beta",
    "desirable_weight",
    "undesirable_weight",
    "epochs",
    "batch_size",
    "micro_batch_size",
    "learning_rate",
    "max_grad_norm",
    "max_length",
    "checkpoint_every",
    "log_every",
)
_BEST_OF_N_POSITIVE = (
    "pessimism_temperature",
    "iterations",
    "prompts_per_iteration",
    "epochs",
    "batch_size",
    "learning_rate",
    "max_grad_norm",
    "checkpoint_every",
    "log_every",
)


def require(condition: bool, what: str, sentence: str) -> None:
    if not condition:
        raise UserError(f"{what} config: {sentence}")


def require_above_zero(config: Any, names: Iterable[str], what: str, at: str = "") -> None:
    for name in names:
        value = getattr(config, name)
        require(value > 0, what, f"{at}{name} is {value}; set it above 0.")


def require_not_negative(config: Any, names: Iterable[str], what: str, at: str = "") -> None:
    for name in names:
        value = getattr(config, name)
        require(value >= 0, what, f"{at}{name} is {value}; set it to 0 or more.")


def check_dpo(config: DpoConfig) -> None:
    """Raise `UserError` with one sentence on the first setting that cannot work."""
    require_above_zero(config, _DPO_POSITIVE, "DPO")
    require(
        0 <= config.label_smoothing < 0.5,
        "DPO",
        f"label_smoothing is {config.label_smoothing}; set it to 0 or more, below 0.5.",
    )
    require_not_negative(config, ("simpo_margin", "exploration"), "DPO")
    require(
        config.exploration == 0 or config.loss == "dpo",
        "DPO",
        f"exploration is a bonus beside loss 'dpo', and loss is {config.loss!r}; set exploration to 0.",
    )
    _require_share("held_out_share", config.held_out_share, "DPO")
    _require_share("warmup_share", config.warmup_share, "DPO")
    _check_measure(config.measure, "DPO")


def check_best_of_n(config: BestOfNConfig) -> None:
    """Raise `UserError` with one sentence on the first setting that cannot work."""
    what = "best-of-n"
    require_above_zero(config, _BEST_OF_N_POSITIVE, what)
    require(config.n >= 2, what, f"n is {config.n}; the best of one is no choice.")
    require(
        config.missing_eos_penalty >= 0 and config.variance_weight >= 0,
        what,
        "set missing_eos_penalty and variance_weight to 0 or more.",
    )
    _require_share("warmup_share", config.warmup_share, what)
    _check_measure(config.measure, what)


def _require_share(name: str, share: float, what: str) -> None:
    require(0 <= share < 1, what, f"{name} is {share}; set it to 0 or more, below 1.")


def _check_measure(config: MeasureConfig, what: str) -> None:
    require_above_zero(config, ("points", "prompts", "max_prompt_tokens"), what, "measure.")
    watched = ("exact_kl_rollouts", "kl_budget", "held_out_patience")
    require_not_negative(config, watched, what, "measure.")
    require(
        config.alarms.outlier_share == 0,
        what,
        "measure.alarms.outlier_share rings in PPO alone, which reads what its reference writes; set it to 0.",
    )
    sampling = config.sampling
    require(
        sampling.max_new_tokens > 0 and sampling.batch_size > 0,
        what,
        "measure.sampling needs max_new_tokens and batch_size above 0.",
    )
    require(
        sampling.temperature > 0 and sampling.top_k == 0 and sampling.top_p == 1.0,
        what,
        "KL is measured on the whole distribution, so measure.sampling needs a "
        "temperature above 0, top_k 0 and top_p 1.",
    )
