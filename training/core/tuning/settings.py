"""Settings of DPO and best-of-n that cannot work, found before anything is loaded."""

from __future__ import annotations

from training.contracts import BestOfNConfig, DpoConfig, MeasureConfig
from training.core.run.errors import UserError

__all__ = ["check_best_of_n", "check_dpo"]

_DPO_POSITIVE = (
    "beta",
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
    "iterations",
    "prompts_per_iteration",
    "epochs",
    "batch_size",
    "learning_rate",
    "max_grad_norm",
    "checkpoint_every",
    "log_every",
)


def check_dpo(config: DpoConfig) -> None:
    """Raise `UserError` with one sentence on the first setting that cannot work."""
    _check_positive(config, _DPO_POSITIVE, "DPO")
    _require(
        0 <= config.label_smoothing < 0.5,
        f"DPO config: label_smoothing is {config.label_smoothing}; set it to 0 or more, below 0.5.",
    )
    _require(
        0 <= config.held_out_share < 1,
        f"DPO config: held_out_share is {config.held_out_share}; set it to 0 or more, below 1.",
    )
    _check_share(config.warmup_share, "DPO")
    _check_measure(config.measure, "DPO")


def check_best_of_n(config: BestOfNConfig) -> None:
    """Raise `UserError` with one sentence on the first setting that cannot work."""
    _check_positive(config, _BEST_OF_N_POSITIVE, "best-of-n")
    _require(config.n >= 2, f"best-of-n config: n is {config.n}; the best of one is no choice.")
    _require(
        config.missing_eos_penalty >= 0 and config.variance_weight >= 0,
        "best-of-n config: set missing_eos_penalty and variance_weight to 0 or more.",
    )
    _check_share(config.warmup_share, "best-of-n")
    _check_measure(config.measure, "best-of-n")


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UserError(sentence)


def _check_positive(config: DpoConfig | BestOfNConfig, names: tuple[str, ...], what: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value > 0, f"{what} config: {name} is {value}; set it above 0.")


def _check_share(share: float, what: str) -> None:
    _require(
        0 <= share < 1, f"{what} config: warmup_share is {share}; set it to 0 or more, below 1."
    )


def _check_measure(config: MeasureConfig, what: str) -> None:
    for name in ("points", "prompts", "max_prompt_tokens"):
        value = getattr(config, name)
        _require(value > 0, f"{what} config: measure.{name} is {value}; set it above 0.")
    for name in ("exact_kl_rollouts", "kl_budget", "held_out_patience"):
        value = getattr(config, name)
        _require(value >= 0, f"{what} config: measure.{name} is {value}; set it to 0 or more.")
    sampling = config.sampling
    _require(
        sampling.max_new_tokens > 0 and sampling.batch_size > 0,
        f"{what} config: measure.sampling needs max_new_tokens and batch_size above 0.",
    )
    _require(
        sampling.temperature > 0 and sampling.top_k == 0 and sampling.top_p == 1.0,
        f"{what} config: KL is measured on the whole distribution, so measure.sampling needs a "
        "temperature above 0, top_k 0 and top_p 1.",
    )
