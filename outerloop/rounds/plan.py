"""What a round is ordered to do: one frozen, typed plan, stored with the round.

A line holds the plan of its next round; a round keeps the copy that it was started with, so that a
later change of settings never reaches into a running round, and a report can show what changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from evaluation.contracts import EvaluatePolicyConfig, EvaluateRewardModelConfig
from outerloop.rounds.plan_ranges import range_problem
from outerloop.rounds.selection import Strategy
from training import facade as training
from training.contracts import (
    BestOfNConfig,
    ContractError,
    DpoConfig,
    JobPlan,
    JsonContract,
    ModelSource,
    Optimizer,
    PpoConfig,
    RewardModelConfig,
    SamplePairsConfig,
)

StartFrom = Literal["base", "incumbent"]


@dataclass(frozen=True)
class SnapshotPlan(JsonContract):
    """Which preferences the round learns from; empty `campaigns` means all of the line.

    `weights` multiplies the rows of a campaign (by id); a half-life of 0 days weighs every label alike.
    """

    campaigns: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    recency_half_life_days: float = 0.0


@dataclass(frozen=True)
class TimeLimits(JsonContract):
    """Longest time in minutes that one learning program may take; 0 is no limit."""

    reward_training: float = 0.0
    policy_training: float = 0.0
    evaluation: float = 0.0
    sampling: float = 0.0


NO_LONGER = {
    "gate_pairs": "the gate policy of the line says how many labels a round may ask for (max_labels)"
}


@dataclass(frozen=True)
class RoundPlan(JsonContract):
    """`candidate` "incumbent" makes an A/A round: the incumbent is judged against itself, which must
    never be promoted; "again" gives the last candidate, of which labels showed nothing either way, a
    second budget: no policy is trained, and its test goes on. `init` and `reference` say where the
    policy's training starts and what KL is measured to. `optimizer` says which of `policy` (PPO), `dpo`
    and `best_of_n` is carried out.

    How many pairs people are asked about for the gate is the gate policy's `max_labels`. More prompts
    than `evaluation_prompts` are sampled where that needs them (`steps.asking.prompts_sampled`)."""

    former_fields: ClassVar = frozenset(NO_LONGER)

    seed: int = 7
    candidate: Literal["trained", "incumbent", "again"] = "trained"
    init: StartFrom = "incumbent"
    reference: StartFrom = "base"
    minimum_fresh_labels: int = 200
    minimum_reward_accuracy: float = (
        0.5  # the lower bound must lie above it before the policy learns
    )
    evaluation_prompts: int = 384  # sampled by both policies at least
    next_pairs: int = 500  # pairs that the deployed policy writes when the round ends
    selection: Strategy = "random"  # by which the next pairs are chosen among the sampled
    random_share: float = 0.2  # of the next pairs, chosen at random whatever the strategy
    oversample: float = 2.0  # pairs sampled for each pair kept
    snapshot: SnapshotPlan = field(default_factory=SnapshotPlan)
    reward_model: RewardModelConfig = field(
        default_factory=lambda: RewardModelConfig(backbone=ModelSource())
    )
    optimizer: Optimizer = "ppo"
    policy: PpoConfig = field(default_factory=PpoConfig)
    dpo: DpoConfig = field(default_factory=DpoConfig)
    best_of_n: BestOfNConfig = field(default_factory=BestOfNConfig)
    evaluate_reward_model: EvaluateRewardModelConfig = field(
        default_factory=EvaluateRewardModelConfig
    )
    evaluate_policy: EvaluatePolicyConfig = field(default_factory=EvaluatePolicyConfig)
    sampling: SamplePairsConfig = field(default_factory=SamplePairsConfig)
    time_limits: TimeLimits = field(default_factory=TimeLimits)
    jobs: JobPlan = field(default_factory=JobPlan)

    def __post_init__(self) -> None:
        if self.evaluation_prompts < 1:
            raise ContractError("RoundPlan.evaluation_prompts must be at least 1.")
        if not 0 <= self.random_share <= 1:
            raise ContractError("RoundPlan.random_share must lie between 0 and 1.")
        if self.oversample < 1:
            raise ContractError("RoundPlan.oversample must be at least 1.")

    @property
    def policy_training(self) -> PpoConfig | DpoConfig | BestOfNConfig:
        """The settings of the chosen optimiser. DPO leaves out what the held-out model learns from."""
        if self.optimizer == "dpo":
            return replace(self.dpo, held_out_share=self.reward_model.held_out_share)
        return self.best_of_n if self.optimizer == "best_of_n" else self.policy


JOB_BACKENDS = {
    "local": "the workers themselves",
    "slurm": "Slurm",
    "kubernetes": "Kubernetes",
}
OPTIMIZER_FIELDS: dict[str, str] = {"ppo": "policy", "dpo": "dpo", "best_of_n": "best_of_n"}
"""Optimiser -> the field of the plan that holds its settings."""


def plan_with_optimizer(plan: RoundPlan, *, optimizer: str, adapter: str) -> RoundPlan:
    """`plan` with another optimiser, its adapter "lora" or "none"; the settings of each stay."""
    changed = {"optimizer": optimizer}
    if optimizer not in OPTIMIZER_FIELDS:
        return plan_override(plan, changed)  # which names the choices
    return plan_override(
        plan, {**changed, OPTIMIZER_FIELDS[optimizer]: {"adapter": {"kind": adapter}}}
    )


def jobs_words(plan: RoundPlan) -> str:
    """Who runs the learning programs, in a few words."""
    backends = {training.job_order(kind, plan.jobs).backend for kind in programs_of(plan)}
    return " and ".join(JOB_BACKENDS[name] for name in sorted(backends))


def optimizer_words(plan: RoundPlan) -> str:
    """How the policy is trained, in a few words: "PPO, 20 updates, LoRA of rank 8"."""
    if plan.optimizer == "ppo":
        words = f"PPO, {plan.policy.updates} updates"
    elif plan.optimizer == "dpo":
        words = f"{plan.dpo.loss.upper()}, {plan.dpo.epochs} passes over the pairs"
    else:
        words = f"best of {plan.best_of_n.n}, {plan.best_of_n.iterations} iterations"
    adapter = plan.policy_training.adapter
    return words + (f", LoRA of rank {adapter.rank}" if adapter.kind == "lora" else "")


def plan_override(plan: RoundPlan, changes: dict[str, Any]) -> RoundPlan:
    """The plan with `changes` (nested objects) merged in; a wrong field is a `ContractError`."""
    return plan_read(_merge(plan.to_json(), changes))


def plan_read(document: Any) -> RoundPlan:
    """The plan that somebody writes now: what went with an earlier release is a `ContractError` here,
    not passed over as in a stored plan."""
    for name, instead in NO_LONGER.items():
        if isinstance(document, dict) and name in document:
            raise ContractError(f"RoundPlan.{name} is no setting any more: {instead}.")
    plan = plan_checked(RoundPlan.from_json(document))
    training.sources_check(plan.to_json())
    return plan


def programs_of(plan: RoundPlan) -> tuple[str, ...]:
    """The kinds of runs of a round, in the order of its steps."""
    trained = (plan.optimizer,) if plan.candidate == "trained" else ()
    last = ("sample_pairs",) if plan.next_pairs else ()
    return ("reward_model", "evaluate_reward_model", *trained, "evaluate_policy", *last)


def plan_checked(plan: RoundPlan) -> RoundPlan:
    """`plan`, or a `ContractError` where a number cannot work or two of its settings contradict one another.

    Asked when a plan is made, not when one is read: an old round's plan stays readable for ever.
    """
    combination, members = plan.policy_training.reward_combination, plan.reward_model.members
    if combination != "mean" and (members < 2 or plan.reward_model.weight_average):
        raise ContractError(
            f"RoundPlan: {OPTIMIZER_FIELDS[plan.optimizer]}.reward_combination {combination!r} needs"
            " an ensemble; set reward_model.members to 2 or more and weight_average to false, or"
            " choose 'mean'."
        )
    problem = numbers_problem(plan.to_json(), plan.reward_model.backbone, optimizer=plan.optimizer)
    if problem:
        raise ContractError(f"RoundPlan.{problem}")
    for kind in programs_of(plan):
        training.job_order(kind, plan.jobs)
    return plan


def numbers_problem(document: dict[str, Any], backbone: ModelSource, *, optimizer: str) -> str:
    """One sentence on the first number of a plan, or of some of its sections, that cannot work, or ""."""
    fresh = backbone.kind == "fresh"
    problem = range_problem(_flat(document), optimizer=optimizer, fresh=fresh)
    if not problem and fresh and backbone.hidden_size % backbone.heads:
        return (
            f"reward_model.backbone.hidden_size is {backbone.hidden_size}, which {backbone.heads} heads do"
            " not divide; set it to a multiple of heads."
        )
    return problem


def plan_differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(dotted path, before, after) of every setting that differs, sorted by path."""
    left, right = dict(_flat(before)), dict(_flat(after))
    return [
        (path, str(left.get(path, "(none)")), str(right.get(path, "(none)")))
        for path in sorted(left.keys() | right.keys())
        if left.get(path) != right.get(path)
    ]


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict)
        merged[key] = _merge(inner, value) if both else value  # type: ignore[arg-type]
    return merged


def _flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in document.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            items.extend(_flat(value, f"{path}."))
        else:
            items.append((path, value))
    return items
