"""Proximal policy optimisation of a chat model against a frozen reward model.

    accelerate launch -m training.recipes.ppo RUN/spec.json

Inputs of the run spec:

policy                  where training starts
reference               what the KL penalty pulls towards
prompts                 JSON lines of prompts
reward_model            what is optimised (an ensemble); also the critic's first weights
held_out_reward_model   optional; logged beside it, never optimised
demonstrations          with `ptx_coefficient` only: what the policy must not forget (PPO-ptx)

With `reward_function` in the config ("package.module:function", called with the messages and the
text of a completion, returning a number) a scripted reward takes the reward model's place: the
control arm, which must rise.

One update samples completions, scores every token once, and takes `epochs` x `mini_batches` optimiser
steps on them. An event row with phase "ppo" describes the policy that wrote the completions and the
step taken from there; one with phase "final" the policy that is kept. RUN/samples.jsonl shows some
completions with their scores.

What is kept is the last policy; with `kl.budget` the last one within it, with `held_out_patience` the one
that the held-out reward model liked best. With a LoRA adapter and a policy that is the reference, the
reference is the policy with its adapter switched off.

Written: the artifact "policy" (Hugging Face layout, ready to be served), "ppo_samples", and "adapter"
where one was trained (the policy has it merged in).
A run that was killed goes on from its last checkpoint; every random number depends on the seed and on
counters only, so on a CPU it ends with the same bytes as one that ran through.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from annotation.rows import PromptRow
from training.contracts import PpoConfig
from training.core.data.randomness import PromptOrder, derive_seed
from training.core.engines import engine_open
from training.core.model.actor_critic import ActorCritic
from training.core.model.loading import LoadedModel
from training.core.model.lora import adapter_add
from training.core.ppo.controllers import next_beta
from training.core.ppo.demonstrations import demonstrations_open
from training.core.ppo.experience import build_experience
from training.core.ppo.settings_check import check_settings
from training.core.ppo.update import Learner, make_optimizer
from training.core.rollout.metrics import explained_variance
from training.core.rollout.rewarding import actor_open
from training.core.rollout.rollouts import Rollout, Sampler
from training.core.run.checkpoints import seed_everything
from training.core.run.run_directory import Run, recipe_main
from training.core.tuning.footprint import ppo_footprint
from training.core.tuning.materials import Materials, reference_cast, sampler_open
from training.core.tuning.progress import TrainingProgress
from training.recipes.runtime import (
    Network,
    accelerator_open,
    network_open,
    torch_configure,
    unsharded_require,
)
from training.recipes.tuning import Tuned, begin, finish, resume, save_or_cancel

Metrics = dict[str, float | None]


@dataclass
class PpoProgress(TrainingProgress):
    """`step` counts updates; `beta` is the present KL price."""

    STORED = {**TrainingProgress.STORED, "step": "update"}

    stopped_by: str = "updates"
    optimizer_steps: int = 0
    beta: float = 0.0


@dataclass(frozen=True)
class PpoParts(Tuned[PpoConfig]):
    """What the loop works with; built once."""

    sampler: Sampler
    learner: Learner
    prompts: list[PromptRow]
    prompt_ids: list[list[int]]
    order: PromptOrder

    def trained(self) -> list[nn.Parameter]:
        """Of the policy alone: the critic is left behind."""
        return self.learner.actor.policy_parameters()


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "ppo", PpoConfig, argv)


def train(run: Run[PpoConfig]) -> None:
    torch_configure()
    accelerator = accelerator_open()
    check_settings(run.config, processes=accelerator.num_processes)
    if run.config.packed:
        unsharded_require(accelerator, "packed reads whole weights", fix="set it to false")
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts, PpoProgress(beta=run.config.kl.beta))
    learn(parts, progress)
    finish(parts, progress, results(progress))


# -------------------------------------------------------------------------- build


def build(run: Run[PpoConfig], accelerator: Any) -> PpoParts:
    """Load, check, and only then hand the networks to the accelerator."""
    materials = begin(run, accelerator, ppo_footprint)
    policy = materials.policy
    network = _build_network(run, accelerator, materials)
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
    )


def _build_network(
    run: Run[PpoConfig], accelerator: Any, materials: Materials
) -> Network[ActorCritic]:
    policy, rewarder = materials.policy, materials.rewarder
    source = rewarder.critic_source(policy) if rewarder else None
    actor = actor_open(policy, source, shared=run.config.shared_backbone)
    # The critic is a whole network of its own; only the policy gets an adapter.
    adapter_add(policy.model, run.config.adapter, seed=run.spec.seed)
    actor.to(accelerator.device)
    network = network_open(accelerator, actor, recompute=run.config.gradient_checkpointing)
    if run.config.packed:
        actor.pack()
    return network


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


# --------------------------------------------------------------------------- loop


def learn(parts: PpoParts, progress: PpoProgress) -> None:
    """Measure, learn, save; the last round measures only, so that the kept policy has its row."""
    config, run = parts.config, parts.run
    for update in range(progress.step, config.updates + 1):
        began, before = time.monotonic(), progress.throughput.copy()
        seed_everything(derive_seed(run.spec.seed, "update", update, _rank(parts)))
        rollout = collect(parts, progress, update)
        ending = note_measured(parts, progress, rollout, update)
        if ending or update == config.updates:
            progress.stopped_by = ending or progress.stopped_by
            break
        metrics = rollout.metrics | ppo_update(parts, progress, rollout, update)
        ending = progress.kept.note_learned(metrics, at=update, limits=parts.limits)
        if ending:
            progress.stopped_by = ending
            break
        metrics |= progress.throughput.since(before) | {"seconds": time.monotonic() - began}
        progress.step = update + 1
        run.emit("ppo", progress.step, config.updates, metrics)
        save_or_cancel(parts, progress)
    progress.kept.report(run, config.updates, stopped_by=progress.stopped_by)


def collect(parts: PpoParts, progress: PpoProgress, update: int) -> Rollout:
    """Sample this process's share of the update's prompts and score it once."""
    config, accelerator, throughput = parts.config, parts.accelerator, progress.throughput
    share = config.prompts_per_update // accelerator.num_processes
    first = update * config.prompts_per_update + _rank(parts) * share
    rows = parts.order.take(first, share)
    seeds = [derive_seed(parts.run.spec.seed, "sample", first + i) for i in range(share)]
    with parts.network.whole(), accelerator.autocast():
        with throughput.timed("rollout", accelerator.device):
            episodes = parts.sampler.sample([parts.prompt_ids[row] for row in rows], seeds)
        with throughput.timed("score", accelerator.device):
            rollout = parts.sampler.score([parts.prompts[row] for row in rows], episodes)
    for phase, tokens in (("rollout", episodes.written), ("score", episodes.read)):
        throughput.tokens[phase] += _total(parts, tokens)
    return rollout


def note_measured(parts: PpoParts, progress: PpoProgress, rollout: Rollout, update: int) -> str:
    """Keep what this rollout says of the present policy; returns why the run ends here, or ""."""
    ending = progress.kept.note(
        rollout.metrics, at=update, weights=parts.trained(), limits=parts.limits
    )
    shown = update % parts.config.evaluate_every == 0 or update == parts.config.updates
    if shown and ending != "kl_budget":
        parts.samples.add(update, rollout.prompts, rollout.episodes, rollout.scores)
    return ending


def ppo_update(parts: PpoParts, progress: PpoProgress, rollout: Rollout, update: int) -> Metrics:
    """One PPO update on one rollout, and the KL price of the next one."""
    config, reduce = parts.config, parts.learner.reduce
    with progress.throughput.timed("train", parts.accelerator.device):
        experience = build_experience(
            rollout.episodes,
            rollout.tables,
            rollout.scores.train,
            beta=progress.beta,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            missing_eos_penalty=config.missing_eos_penalty,
            whiten_advantages=config.whiten_advantages,
            importance=rollout.importance,
            reduce=reduce,
        )
        seed = derive_seed(parts.run.spec.seed, "mini-batches", update, 0)
        done = parts.learner.update(
            experience,
            generator=torch.Generator().manual_seed(seed),
            first_step=progress.optimizer_steps,
        )
    read = sum(map(len, experience.prompts)) + sum(map(len, experience.responses))
    epochs = done.optimizer_steps / config.mini_batches
    progress.throughput.tokens["train"] += _total(parts, round(read * epochs))
    progress.optimizer_steps += done.optimizer_steps
    beta = progress.beta
    progress.beta = next_beta(
        beta,
        control=config.kl,
        sequence_kl=float(rollout.metrics["kl_k1"] or 0.0),
        sequences=config.prompts_per_update,
    )
    explained = explained_variance(
        experience.values, experience.returns, experience.mask, reduce=reduce
    )
    return done.to_row(with_ptx=parts.learner.demonstrations is not None) | {
        "value_explained_variance": float(explained),
        "beta": beta,
        "learning_rate": parts.learner.optimizer.param_groups[0]["lr"],
    }


def results(progress: PpoProgress) -> Mapping[str, Any]:
    return {"optimizer_steps": progress.optimizer_steps, "beta": progress.beta}


def _rank(parts: PpoParts) -> int:
    return int(parts.accelerator.process_index)


def _total(parts: PpoParts, count: int) -> int:
    """A count added up over all processes."""
    return int(parts.learner.reduce(torch.tensor(count, device=parts.accelerator.device)))


if __name__ == "__main__":
    raise SystemExit(main())
