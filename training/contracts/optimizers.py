"""What makes a candidate of a policy: PPO, DPO and best-of-n, with what measures and stops them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.contracts.policies import AdapterConfig, CheckpointDtype, Sampling, Truncation
from web.json_contract import JsonContract

__all__ = [
    "Advantage",
    "Alarms",
    "BestOfNConfig",
    "DpoConfig",
    "KlControl",
    "MeasureConfig",
    "PairLoss",
    "PpoConfig",
    "RewardCombination",
    "RewardShaping",
]


@dataclass(frozen=True)
class KlControl(JsonContract):
    """kind "fixed" keeps `beta`; "adaptive" steers the sequence KL to `target` nats (Ziegler 2019);
    "lagrangian" takes `target` as a limit, and has no price while it holds (Moskovitz 2023).
    """

    kind: Literal["fixed", "adaptive", "lagrangian"] = "fixed"
    beta: float = 0.07
    target: float = 6.0
    horizon: int = 10_000
    rate: float = 0.02  # of "lagrangian": the most by which the price moves an update
    budget: float = 0.0  # hard limit on the sequence KL in nats; 0: none
    reference_decay: float = 1.0  # of a moving average that is what KL is paid to; 1: the reference


@dataclass(frozen=True)
class Alarms(JsonContract):
    """When the training of a policy stops by itself, with the last healthy policy kept.

    A limit of 0 is none; a number that is not finite always stops. The defaults lie far beyond what
    ordinary runs show: the gate judges, an alarm only saves what could not be judged.
    """

    kl_limit: float = 100.0  # nats per sequence
    entropy_share: float = 0.02  # of the entropy of the first rollout
    reward_rise: float = 2.0  # of the training reward, without any of the held-out reward
    outlier_share: float = 0.0  # of the texts, outside what the reference writes; PPO alone
    patience: int = 3  # rows in a row; one is enough for kl_limit and for what is not finite


Engine = Literal["own", "transformers", "vllm"]
"""Who draws the completions that PPO learns from."""


RewardCombination = Literal["mean", "worst", "mean_minus_variance", "soft_worst"]
"""What the members of an ensemble are together; all but the mean pay less where they disagree."""

PairLoss = Literal["dpo", "ipo", "length_normalised_dpo", "simpo", "kto"]
"""The two before the last divide the log-probability of a completion by its tokens, "simpo" without a reference; "kto"
takes each completion of a pair by itself."""

RewardShaping = Literal["none", "preference_as_reward"]

Advantage = Literal["gae", "rloo", "grpo", "reinforce_plus_plus", "p3o"]
"""What a completion is compared with: a critic, the others of its prompt (two kinds), the whole batch, or the one other
of its pair, with a loss of pairs.
"""


@dataclass(frozen=True)
class PpoConfig(JsonContract):
    """PPO against a frozen reward model (Ziegler 2019, Stiennon 2020, Huang 2024)."""

    updates: int = 20
    prompts_per_update: int = 256
    completions_per_prompt: int = 1
    advantage: Advantage = "gae"
    epochs: int = 2
    mini_batches: int = 4
    micro_batch_size: int = 64
    policy_learning_rate: float = 3e-4
    value_learning_rate: float = 5e-4
    warmup_updates: int = 2
    gamma: float = 1.0
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    value_clip_range: float = 0.2
    value_coefficient: float = 0.5
    pair_ratio_cap: float = 2.0  # of "p3o": largest weight of a pair, and 1 / it the smallest
    max_grad_norm: float = 1.0
    gradient_penalty: float = 0.0  # on half the squared norm of the policy's gradient; 0: none
    gradient_probe: float = (
        1e-3  # share of the gradient by which it moves the weights to see its change
    )
    missing_eos_penalty: float = 1.0
    whiten_advantages: bool = True
    shared_backbone: bool = False
    reward_combination: RewardCombination = "mean"
    variance_weight: float = 0.5
    pessimism_temperature: float = 1.0  # of "soft_worst"
    reward_function: str = ""  # "package.module:function", a scripted reward in place of the model
    verifier: str = ""  # "package.module:function", a check beside the model; a process of its own
    verifier_weight: float = 1.0
    verifier_seconds: float = 5.0  # for one completion
    verifier_megabytes: int = 1024
    reward_shaping: RewardShaping = "none"
    reference_completions: int = 2  # for each prompt, where rewards are shaped
    shaping_slope: float = 1.0
    early_stop_update_kl: float = 0.0  # end the PPO epochs of one update above this; 0: never
    kl: KlControl = field(default_factory=KlControl)
    sampling: Sampling = field(default_factory=Sampling)
    rollout_engine: Engine = "own"
    engine_dtype: Literal["float32", "bfloat16"] = "float32"  # of an engine that is not our own
    importance_cap: float = 2.0  # largest weight of a token that such an engine drew
    max_prompt_tokens: int = 128
    exact_kl_rollouts: int = 32  # rollouts per update on which the full-vocabulary KL is computed
    checkpoint_every: int = 1
    evaluate_every: int = 2  # updates between checkpoints scored for the mismatch meter
    held_out_patience: int = (
        0  # updates without a better held-out reward until the end; 0: no limit
    )
    outlier_texts: int = 0  # of the reference, outside of whose states texts are counted; 0: never
    outlier_quantile: float = 0.99  # of its texts that lie inside
    ptx_coefficient: float = 0.0  # weight of the loss on demonstrations (Ouyang 2022, PPO-ptx)
    ptx_batch_size: int = 32
    packed: bool = False  # plain Llamas: no padding is computed, in fewer operators
    gradient_checkpointing: bool = False
    alarms: Alarms = field(default_factory=Alarms)
    checkpoint_dtype: CheckpointDtype = "source"
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    critic_adapter: bool = True  # with `adapter` a critic of its own backbone learns by one too

    @property
    def completions_per_update(self) -> int:
        return self.prompts_per_update * self.completions_per_prompt

    @property
    def has_critic(self) -> bool:
        return self.advantage == "gae"


@dataclass(frozen=True)
class MeasureConfig(JsonContract):
    """How a policy is measured while it learns from a fixed data set, and when that ends the run.

    At the start and at `points` later moments, evenly over the steps, it answers the same `prompts`
    prompts with the same random numbers.
    """

    points: int = 8
    prompts: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    max_prompt_tokens: int = 128
    exact_kl_rollouts: int = 32
    kl_budget: float = 0.0  # hard limit on the sequence KL in nats; 0: none
    held_out_patience: int = 0  # measurements without a better held-out reward; 0: no limit
    alarms: Alarms = field(default_factory=Alarms)


@dataclass(frozen=True)
class DpoConfig(JsonContract):
    """Direct preference optimisation (Rafailov 2023), or with `loss` another loss of pairs."""

    loss: PairLoss = "dpo"
    beta: float = 0.1
    simpo_margin: float = 1.0  # gamma of "simpo"
    desirable_weight: float = 1.0  # lambda_D of "kto"
    undesirable_weight: float = 1.0  # lambda_U of "kto"
    label_smoothing: float = 0.0
    exploration: float = 0.0  # alpha of XPO's bonus, with "dpo"; 0: none
    held_out_share: float = 0.25  # of the prompt groups, left to the held-out reward model
    epochs: int = 2
    batch_size: int = 32
    micro_batch_size: int = 64
    learning_rate: float = 1e-4
    warmup_share: float = 0.1
    max_grad_norm: float = 1.0
    max_length: int = 256
    truncation: Truncation = "oldest_turns"
    reward_combination: RewardCombination = "mean"
    variance_weight: float = 0.5
    pessimism_temperature: float = 1.0  # of "soft_worst"
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    checkpoint_every: int = 50
    log_every: int = 10
    checkpoint_dtype: CheckpointDtype = "source"
    adapter: AdapterConfig = field(default_factory=AdapterConfig)


@dataclass(frozen=True)
class BestOfNConfig(JsonContract):
    """Rejection sampling: draw `n` completions, keep the best one of each prompt, learn to write it.

    Every iteration draws from the policy that the one before made (Touvron 2023, section 3.2.3).
    """

    n: int = 8
    iterations: int = 2
    prompts_per_iteration: int = 512
    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 1e-4
    warmup_share: float = 0.1
    max_grad_norm: float = 1.0
    missing_eos_penalty: float = 1.0
    reward_combination: RewardCombination = "mean"
    variance_weight: float = 0.5
    pessimism_temperature: float = 1.0  # of "soft_worst"
    reward_function: str = ""  # "package.module:function", a scripted reward in place of the model
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    checkpoint_every: int = 25
    log_every: int = 5
    checkpoint_dtype: CheckpointDtype = "source"
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
