"""The configurations of the two evaluation programs."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.contracts import JsonContract, Sampling


@dataclass(frozen=True)
class EvaluateRewardModelConfig(JsonContract):
    """Inputs of the run: `reward_model`, `held_out_reward_model`, `preferences`."""

    splits: tuple[str, ...] = ("validation", "test")
    batch_size: int = 64
    bins: int = 10
    level: float = 0.95
    null_resamples: int = 2000
    length_buckets: int = 4
    minimum_slice: int = 20  # pairs below which a slice is not reported
    consistency_pairs: int = (
        200  # on which consistency is measured, drawn by the seed; 0: it is not
    )

    def __post_init__(self) -> None:
        if self.consistency_pairs < 0:
            raise ValueError("consistency_pairs must be at least 0.")


@dataclass(frozen=True)
class EvaluatePolicyConfig(JsonContract):
    """Inputs of the run: `candidate`, `incumbent`, `reference`, `reward_model`,
    `held_out_reward_model`, `prompts`, and any number of suites, named "suite_1" and on. Candidate and
    incumbent draw each prompt with the same seed, made from the run's seed and the prompt, so
    identical weights give identical texts."""

    sampling: Sampling = field(default_factory=Sampling)
    samples_per_prompt: int = 1  # from 2 on, diversity within prompts is measured too
    samples_limit: int = 4  # to so many a round doubles them while a check cannot be told
    max_prompts: int = 0  # 0: all
    max_prompt_tokens: int = 128
    scoring_batch_size: int = 64
    level: float = 0.95
    bootstrap_resamples: int = 2000
    distinct_tokens: int = 2000  # distinct-n counts this many tokens of each side, or all if fewer
    suite_samples: int = 4  # replies to each item of a suite that is answered
    best_of_n: int = 16  # the largest n of the curve, measured on the reference policy; 0: none
    best_of_n_prompts: int = 32  # prompts, each of another group, that it is measured on
    past_rounds: int = 4  # earlier rounds whose reward models and policies are scored anew; 0: none
    past_prompts: int = 64  # replies of each policy that this is measured on

    def __post_init__(self) -> None:
        if self.suite_samples < 1:
            raise ValueError("suite_samples must be at least 1.")
        if self.best_of_n < 0 or self.best_of_n == 1:
            raise ValueError("best_of_n must be 2 or more, or 0 to leave the curve out.")
        if self.best_of_n_prompts < 2:
            raise ValueError("best_of_n_prompts must be at least 2, since an interval needs two.")
        if self.past_rounds < 0:
            raise ValueError("past_rounds must be at least 0.")
        if self.past_prompts < 2:
            raise ValueError("past_prompts must be at least 2, since an interval needs two.")


CONFIGS: dict[str, type[JsonContract]] = {
    "evaluate_reward_model": EvaluateRewardModelConfig,
    "evaluate_policy": EvaluatePolicyConfig,
}
