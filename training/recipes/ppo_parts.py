"""What PPO works with, from a run's inputs to networks in the hands of the processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from annotation.rows import PromptRow
from training.contracts import PpoConfig
from training.core.data.randomness import PromptOrder, derive_seed
from training.core.engines import engine_open
from training.core.model.actor_critic import ActorCritic
from training.core.model.loading import LoadedModel
from training.core.model.lora import adapter_add
from training.core.ppo.demonstrations import demonstrations_open
from training.core.ppo.moving_reference import MovingReference
from training.core.ppo.update import Learner, make_optimizer
from training.core.rollout.rewarding import CriticAdapter, actor_open
from training.core.rollout.rollouts import Sampler
from training.core.run.run_directory import Run
from training.core.tuning.footprint import ppo_footprint
from training.core.tuning.materials import Materials, reference_cast, sampler_open
from training.core.tuning.progress import TrainingProgress
from training.recipes.runtime import Network, network_open, shards, unsharded_require
from training.recipes.tuning import Tuned, begin

__all__ = ["PpoParts", "PpoProgress", "ppo_open"]


@dataclass
class PpoProgress(TrainingProgress):
    """`step` counts updates; `beta` is the present KL price.

    `reference_scores` [prompts, M] are what shaped rewards compare with, NaN for prompts that do not come;
    `reference_weights` are those of a reference that moves, `clouds` the states of `StateCloud`, one a member of
    the reward model, where texts outside are counted.
    """

    STORED = {**TrainingProgress.STORED, "step": "update"}

    stopped_by: str = "updates"
    optimizer_steps: int = 0
    beta: float = 0.0
    reference_scores: Tensor | None = None
    reference_weights: list[Tensor] | None = None
    clouds: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class PpoParts(Tuned[PpoConfig]):
    """What the loop works with; built once."""

    sampler: Sampler
    learner: Learner
    prompts: list[PromptRow]
    prompt_ids: list[list[int]]
    order: PromptOrder
    moving: MovingReference | None

    def trained(self) -> list[nn.Parameter]:
        """Of the policy alone: the critic is left behind."""
        return self.learner.actor.policy_parameters()


def ppo_open(run: Run[PpoConfig], accelerator: Any) -> PpoParts:
    """Load, check, and only then hand the networks to the accelerator."""
    materials = begin(run, accelerator, ppo_footprint)
    policy = materials.policy
    network = _build_network(run, accelerator, materials)
    moving = _moving_reference(run, accelerator, network)
    reference_cast(materials.reference, network.dtype)
    with network.whole():
        engine = engine_open(run.config, policy, materials.prompt_ids)
    run.emit("preflight", 1, 1, message="Settings, prompts and models fit together.")
    learner = _build_learner(run, accelerator, policy, network)
    return PpoParts.open(
        run,
        accelerator,
        materials,
        network,
        learner.optimizer,
        steps=run.config.updates,
        sampler=sampler_open(
            materials,
            engine,
            network.plain,
            accelerator,
            measure=run.config,
            batch_size=run.config.micro_batch_size,
            importance_cap=run.config.importance_cap,
        ),
        learner=learner,
        prompts=materials.prompts,
        prompt_ids=materials.prompt_ids,
        order=PromptOrder(len(materials.prompts), seed=run.spec.seed),
        moving=moving,
    )


def _build_network(
    run: Run[PpoConfig], accelerator: Any, materials: Materials
) -> Network[ActorCritic]:
    policy, rewarder = materials.policy, materials.rewarder
    critic = run.config.has_critic
    source = rewarder.critic_source(policy) if rewarder and critic else None
    actor = actor_open(
        policy,
        source,
        shared=run.config.shared_backbone,
        critic=critic,
        adapter=_critic_adapter(run, accelerator),
    )
    adapter_add(policy.model, run.config.adapter, seed=run.spec.seed)
    actor.to(accelerator.device)
    network = network_open(accelerator, actor, recompute=run.config.gradient_checkpointing)
    if run.config.packed:
        actor.pack()
    return network


def _critic_adapter(run: Run[PpoConfig], accelerator: Any) -> CriticAdapter | None:
    """On the weights of the network that it starts from; a copy of them where networks are cut into parts."""
    config = run.config
    if config.adapter.kind == "none" or not config.critic_adapter:
        return None
    seed = derive_seed(run.spec.seed, "critic adapter")
    return CriticAdapter(config.adapter, seed, own=shards(accelerator) > 1)


def _build_learner(
    run: Run[PpoConfig], accelerator: Any, policy: LoadedModel, network: Network[ActorCritic]
) -> Learner:
    rank, processes = int(accelerator.process_index), accelerator.num_processes
    return Learner(
        accelerator=accelerator,
        actor=network.inner,
        model=network.model,
        optimizer=accelerator.prepare(make_optimizer(network.inner, run.config)),
        reduce=lambda value: accelerator.reduce(value, reduction="sum"),
        config=run.config,
        pad_id=policy.pad_id,
        demonstrations=demonstrations_open(run, policy, rank=rank, processes=processes),
    )


def _moving_reference(
    run: Run[PpoConfig], accelerator: Any, network: Network[ActorCritic]
) -> MovingReference | None:
    """A copy of the policy, its adapter included, where one is asked for."""
    decay = run.config.kl.reference_decay
    if decay == 1:
        return None
    unsharded_require(accelerator, "kl.reference_decay reads whole weights", fix="set it to 1")
    return MovingReference.beside(network.plain.policy, decay)
