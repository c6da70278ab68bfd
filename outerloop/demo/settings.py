"""The demo's sizes and training settings, as plain data.

Chosen on the throwaway seeds 1, 2 and 3; `docs/decisions/0002-demo-world.md` has the reasons and
the measured figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from training.contracts import (
    AdapterConfig,
    BestOfNConfig,
    DpoConfig,
    KlControl,
    MeasureConfig,
    ModelSource,
    Optimizer,
    PpoConfig,
    RewardModelConfig,
    SamplePairsConfig,
    Sampling,
    SftConfig,
    SftPhase,
)

SAMPLING = Sampling(max_new_tokens=48, temperature=1.0, top_k=0, top_p=1.0, batch_size=256)

FIRST_POLICY = SftConfig(
    model=ModelSource(kind="fresh", name="policy", architecture="llama", max_positions=128),
    phases=(
        SftPhase(data="phase1", steps=1100, learning_rate=3e-3),
        SftPhase(data="phase2", steps=900, learning_rate=2e-3),
    ),
    max_length=128,
    checkpoint_every=500,
    log_every=50,
)

REWARD_MODEL = RewardModelConfig(
    backbone=ModelSource(kind="input", name="policy"),
    members=2,
    held_out_share=0.25,
    epochs=2,
    batch_size=32,
    learning_rate=1.2e-3,
    max_length=128,
)

PPO = PpoConfig(
    updates=14,
    prompts_per_update=256,
    policy_learning_rate=3e-4,
    value_learning_rate=5e-4,
    kl=KlControl(kind="fixed", beta=0.07),
    sampling=SAMPLING,
    max_prompt_tokens=64,
    checkpoint_every=4,
    evaluate_every=3,
)


# The other optimisers, on the same labels; `docs/decisions/0012-optimisers.md` compares them.
MEASURE = MeasureConfig(points=6, prompts=192, sampling=SAMPLING, max_prompt_tokens=64)

DPO = DpoConfig(
    beta=0.3,
    epochs=2,
    learning_rate=5e-4,
    max_length=128,
    measure=MEASURE,
)

BEST_OF_N = BestOfNConfig(
    n=8,
    iterations=3,
    prompts_per_iteration=256,
    learning_rate=1e-3,
    measure=MEASURE,
)

LORA = AdapterConfig(kind="lora", rank=8, alpha=16.0)
LORA_RATE = 10.0
"""An adapter of rank 8 learns at ten times the rate of whole weights."""


@dataclass(frozen=True)
class DemoSettings:
    """Everything the demo line is built with. Labels are counted in judgments."""

    rounds: int = 2
    demonstrations_per_phase: int = 8000
    prompts: int = 5300
    labels_per_round: int = 3000
    gate_label_budget: int = 600
    held_out_prompts: int = 400  # on which policies are scored by the gold, outside the rounds
    split_shares: dict[str, float] = field(
        default_factory=lambda: {
            "train": 0.54,
            "validation": 0.03,
            "test": 0.06,
            "evaluation": 0.37,  # fresh ones for each of two rounds
        }
    )
    first_policy_correct: tuple[float, float] = (0.30, 0.60)
    first_policy_junk_limit: float = 0.10
    sft: SftConfig = FIRST_POLICY
    reward_model: RewardModelConfig = REWARD_MODEL
    optimizer: Optimizer = "ppo"
    ppo: PpoConfig = PPO
    dpo: DpoConfig = DPO
    best_of_n: BestOfNConfig = BEST_OF_N
    sample_pairs: SamplePairsConfig = field(
        default_factory=lambda: SamplePairsConfig(completions_per_prompt=2, sampling=SAMPLING)
    )


@dataclass(frozen=True)
class DemoOrder:
    """One demo: its seed and what departs from the ordinary."""

    seed: int
    demo: DemoSettings
    slug: str
    name: str
    shuffled: bool = False
    changes: dict[str, Any] | None = None
    title: str = ""


DEFAULT = DemoSettings()

# One short turn, for continuous integration: the loop must close, the verdict may be any.
QUICK = replace(
    DEFAULT,
    rounds=1,
    labels_per_round=1000,
    prompts=2500,
    gate_label_budget=200,
    held_out_prompts=200,
    # More of the few labels on test prompts: whether the reward model is any good must be seen.
    split_shares={"train": 0.5, "validation": 0.05, "test": 0.2, "evaluation": 0.25},
    ppo=replace(PPO, updates=6),
    dpo=replace(DPO, epochs=1),
    best_of_n=replace(BEST_OF_N, iterations=1),
)

# "What the gate is for": few labels, nothing that holds the policy near its reference, and time.
OVEROPTIMISED = replace(
    DEFAULT,
    rounds=1,
    labels_per_round=400,
    ppo=replace(
        PPO,
        updates=24,
        policy_learning_rate=6e-4,
        kl=KlControl(kind="fixed", beta=0.0),
        evaluate_every=5,
    ),
)

# The check of the reward model would stop such a round before PPO; it is let by, so that the gate is seen.
OVEROPTIMISED_CHANGES: dict[str, Any] = {"minimum_reward_accuracy": 0.0}


def with_optimizer(demo: DemoSettings, optimizer: Optimizer, *, lora: bool) -> DemoSettings:
    """The same demo with its policy trained by another optimiser, or through an adapter."""
    demo = replace(demo, optimizer=optimizer)
    if not lora:
        return demo
    return replace(
        demo,
        ppo=replace(
            demo.ppo,
            adapter=LORA,
            policy_learning_rate=LORA_RATE * demo.ppo.policy_learning_rate,
        ),
        dpo=replace(demo.dpo, adapter=LORA, learning_rate=LORA_RATE * demo.dpo.learning_rate),
        best_of_n=replace(
            demo.best_of_n,
            adapter=LORA,
            learning_rate=LORA_RATE * demo.best_of_n.learning_rate,
        ),
    )
