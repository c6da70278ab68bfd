"""Proximal policy optimisation of a chat model against a frozen reward model.

    accelerate launch -m training.recipes.ppo RUN/spec.json

Inputs of the run spec:

policy                  where training starts
reference               what the KL penalty pulls towards
prompts                 JSON lines of prompts
reward_model            what is optimised (an ensemble); also the critic's first weights
held_out_reward_model   optional; logged beside it, never optimised

With `reward_function` in the config ("package.module:function", called with the messages and the
text of a completion, returning a number) a scripted reward takes the reward model's place: the
control arm, which must rise.

One update samples completions, scores every token once, and takes `epochs` x `mini_batches` optimiser
steps on them. An event row with phase "ppo" describes the policy that wrote the completions and the
step taken from there; one with phase "final" the policy that is kept. RUN/samples.jsonl shows some
completions with their scores.

Written: the artifact "policy" (Hugging Face layout, ready to be served), and "ppo_samples".
A run that was killed goes on from its last checkpoint; every random number depends on the seed and on
counters only, so on a CPU it ends with the same bytes as one that ran through.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.contracts import ArtifactRef, PpoConfig
from training.core.checkpoints import CheckpointStore, seed_everything
from training.core.data import PromptRow, prompts_read
from training.core.errors import UserError
from training.core.generation import generate
from training.core.models import LoadedModel, model_save, policy_load_path
from training.core.ppo import preflight
from training.core.ppo.actor_critic import ActorCritic
from training.core.ppo.controllers import next_beta, over_budget
from training.core.ppo.diagnostics import explained_variance
from training.core.ppo.experience import (
    Episodes,
    TokenTables,
    build_experience,
    score_tokens,
)
from training.core.ppo.measurement import Scores, rollout_metrics
from training.core.ppo.randomness import PromptOrder, derive_seed
from training.core.ppo.rewarding import CriticSource, Rewarder, rewarder_open
from training.core.ppo.samples import SampleLog
from training.core.ppo.settings_check import check_settings
from training.core.ppo.update import Learner, make_optimizer
from training.core.run_directory import Run, recipe_main
from training.core.tokenizers import decode, prompt_encode
from training.recipes.runtime import accelerator_open, cancel_check

Metrics = dict[str, float | None]
PHASES = ("rollout", "score", "train")


@dataclass
class Progress:
    """Everything but weights that a resumed run needs; plain numbers and lists only."""

    update: int = 0
    optimizer_steps: int = 0
    beta: float = 0.0
    stopped_by: str = "updates"
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))
    best_held_out: float | None = None
    best_held_out_update: int | None = None
    measured: Metrics = field(default_factory=dict)
    under_budget: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Rollout:
    """One process's share of an update's completions, with everything measured on them."""

    episodes: Episodes
    tables: TokenTables
    scores: Scores
    metrics: Metrics
    prompts: list[PromptRow]


@dataclass(frozen=True)
class Parts:
    """What the loop works with; built once."""

    run: Run[PpoConfig]
    accelerator: Any
    policy: LoadedModel
    reference: Any
    rewarder: Rewarder
    learner: Learner
    prompts: list[PromptRow]
    prompt_ids: list[list[int]]
    order: PromptOrder
    store: CheckpointStore
    samples: SampleLog

    @property
    def config(self) -> PpoConfig:
        return self.run.config


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "ppo", PpoConfig, argv)


def train(run: Run[PpoConfig]) -> None:
    configure_torch()
    accelerator = accelerator_open()
    check_settings(run.config, processes=accelerator.num_processes)
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts)
    learn(parts, progress)
    finish(parts, progress)


# -------------------------------------------------------------------------- build


def configure_torch() -> None:
    """The thread count of OUTERLOOP_THREADS, and on a CPU the deterministic kernels, which are free."""
    threads = os.environ.get("OUTERLOOP_THREADS", "")
    if threads:
        if not threads.isdigit() or int(threads) < 1:
            raise UserError(f"OUTERLOOP_THREADS is {threads!r}; set it to a whole number above 0.")
        torch.set_num_threads(int(threads))
    if not torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling fresh memory with NaN is part of that mode, and the only part that costs time.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010


def build(run: Run[PpoConfig], accelerator: Any) -> Parts:
    """Load, check, and only then hand the networks to the accelerator."""
    policy = policy_load_path(run.input("policy"))
    reference = policy_load_path(run.input("reference"))
    prompts = prompts_read(run.input("prompts"))
    prompt_ids = [prompt_encode(policy.tokenizer, row.messages) for row in prompts]
    preflight.check_tokens(policy)
    preflight.check_vocabularies(policy, reference)
    preflight.check_prompts(
        [len(ids) for ids in prompt_ids], [row.id for row in prompts], run.config, policy.model
    )
    policy.model.to(accelerator.device)
    reference.model.to(accelerator.device).eval().requires_grad_(False)
    preflight.check_log_probs(policy, prompt_ids, run.config)
    rewarder = rewarder_open(run, device=accelerator.device)
    _check_rewarder(rewarder, prompts)
    learner = _build_learner(run, accelerator, policy, rewarder.critic_source(policy))
    run.emit("preflight", 1, 1, message="Settings, prompts and models fit together.")
    return Parts(
        run=run,
        accelerator=accelerator,
        policy=policy,
        reference=reference.model,
        rewarder=rewarder,
        learner=learner,
        prompts=prompts,
        prompt_ids=prompt_ids,
        order=PromptOrder(len(prompts), seed=run.spec.seed),
        store=CheckpointStore(run.directory / "checkpoints", guard=run.guard, main=run.main),
        samples=SampleLog(run),
    )


def _check_rewarder(rewarder: Rewarder, prompts: Sequence[PromptRow]) -> None:
    """Scores of probe texts of different lengths must not depend on their batch."""
    texts = ["Yes.", "", "I think that it is so, and here is why. " * 4]
    rows = [prompts[i % len(prompts)].messages for i in range(len(texts))]
    for what, score in rewarder.probes():
        together = score(rows, texts)
        alone = torch.cat([score([r], [t]) for r, t in zip(rows, texts, strict=True)])
        preflight.check_batch_invariance(together, alone, what=what)


def _build_learner(
    run: Run[PpoConfig], accelerator: Any, policy: LoadedModel, source: CriticSource | None
) -> Learner:
    if run.config.shared_backbone:
        actor = ActorCritic.shared(policy.model)
    elif source is not None:
        actor = ActorCritic.from_reward_model(
            policy.model, source.model, mean=source.mean, std=source.std
        )
    else:
        actor = ActorCritic.separate(policy.model)
    actor.to(accelerator.device)
    model, optimizer = accelerator.prepare(actor, make_optimizer(actor, run.config))
    return Learner(
        accelerator=accelerator,
        actor=actor,
        model=model,
        optimizer=optimizer,
        reduce=lambda value: accelerator.reduce(value, reduction="sum"),
        config=run.config,
        pad_id=policy.pad_id,
    )


# ------------------------------------------------------------------------- resume


def resume(parts: Parts) -> Progress:
    """The state of the newest whole checkpoint, or a first one."""
    checkpoint = parts.store.load()
    if checkpoint is None:
        return Progress(beta=parts.config.kl.beta)
    state = checkpoint.state
    _load_weights(parts.learner.actor, state["weights"])
    parts.learner.optimizer.load_state_dict(state["optimizer"])
    progress = Progress(**state["progress"])
    parts.samples.keep_before(progress.update)
    parts.run.emit(
        "resume", progress.update, parts.config.updates, message="Resumed from a checkpoint."
    )
    return progress


def save(parts: Parts, progress: Progress) -> None:
    state = {
        "weights": [p.detach() for p in parts.learner.actor.parameters()],
        "optimizer": parts.learner.optimizer.state_dict(),
        "progress": {f.name: getattr(progress, f.name) for f in dataclasses.fields(progress)},
    }
    parts.store.save(progress.update, state)


@torch.no_grad()
def _load_weights(model: torch.nn.Module, weights: Sequence[Tensor]) -> None:
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.copy_(weight)


# --------------------------------------------------------------------------- loop


def learn(parts: Parts, progress: Progress) -> None:
    """Measure, learn, save; the last round measures only, so that the kept policy has its row."""
    config, run = parts.config, parts.run
    for update in range(progress.update, config.updates + 1):
        began = time.monotonic()
        before = dict(progress.seconds), dict(progress.tokens)
        seed_everything(derive_seed(run.spec.seed, "update", update, _rank(parts)))
        rollout = collect(parts, progress, update)
        if over_budget(float(rollout.metrics["kl_k1"] or 0.0), control=config.kl):
            _return_under_budget(parts, progress)
            break
        _note_measured(parts, progress, rollout, update)
        if update == config.updates:
            break
        metrics = rollout.metrics | improve(parts, progress, rollout, update)
        metrics |= _pace(progress, *before) | {"seconds": time.monotonic() - began}
        progress.update = update + 1
        run.emit("ppo", progress.update, config.updates, metrics)
        _save_or_cancel(parts, progress)
    run.emit("final", 1, 1, progress.measured, message=f"Stopped by {progress.stopped_by}.")


def collect(parts: Parts, progress: Progress, update: int) -> Rollout:
    """Sample this process's share of the update's prompts and score it once."""
    config, accelerator = parts.config, parts.accelerator
    share = config.prompts_per_update // accelerator.num_processes
    first = update * config.prompts_per_update + _rank(parts) * share
    rows = parts.order.take(first, share)
    seeds = [derive_seed(parts.run.spec.seed, "sample", first + i) for i in range(share)]
    with accelerator.autocast():
        with _timed(parts, progress, "rollout"):
            episodes = sample(parts, [parts.prompt_ids[row] for row in rows], seeds)
        with _timed(parts, progress, "score"):
            scores = parts.rewarder([parts.prompts[row].messages for row in rows], episodes.texts)
            tables = score_tokens(
                parts.learner.actor,
                parts.reference,
                episodes,
                temperature=config.sampling.temperature,
                pad_id=parts.policy.pad_id,
                batch_size=config.micro_batch_size,
                exact_rollouts=-(-config.exact_kl_rollouts // accelerator.num_processes),
                device=accelerator.device,
            )
    written = sum(map(len, episodes.responses))
    read = written + sum(map(len, episodes.prompts))
    for phase, tokens in (("rollout", written), ("score", read)):
        progress.tokens[phase] += _total(parts, tokens)
    metrics = rollout_metrics(episodes, tables, scores, reduce=parts.learner.reduce)
    return Rollout(episodes, tables, scores, metrics, [parts.prompts[row] for row in rows])


def sample(parts: Parts, prompts: list[list[int]], seeds: list[int]) -> Episodes:
    generated = generate(
        parts.policy.model,
        prompts,
        seeds=seeds,
        sampling=parts.config.sampling,
        pad_id=parts.policy.pad_id,
        end_ids=parts.policy.end_ids,
    )
    responses = [generated.response(row) for row in range(len(prompts))]
    texts = [decode(parts.policy.tokenizer, response) for response in responses]
    return Episodes(prompts, responses, generated.ended.tolist(), texts)


def improve(parts: Parts, progress: Progress, rollout: Rollout, update: int) -> Metrics:
    """One PPO update on one rollout, and the KL price of the next one."""
    config, reduce = parts.config, parts.learner.reduce
    with _timed(parts, progress, "train"):
        experience = build_experience(
            rollout.episodes,
            rollout.tables,
            rollout.scores.train,
            beta=progress.beta,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            missing_eos_penalty=config.missing_eos_penalty,
            whiten_advantages=config.whiten_advantages,
            reduce=reduce,
        )
        seed = derive_seed(parts.run.spec.seed, "mini-batches", update, _rank(parts))
        done = parts.learner.update(
            experience,
            generator=torch.Generator().manual_seed(seed),
            first_step=progress.optimizer_steps,
        )
    read = sum(map(len, experience.prompts)) + sum(map(len, experience.responses))
    epochs = done.steps / config.mini_batches
    progress.tokens["train"] += _total(parts, round(read * epochs))
    progress.optimizer_steps += done.steps
    beta = progress.beta
    progress.beta = next_beta(
        beta,
        control=config.kl,
        sequence_kl=float(rollout.metrics["kl_k1"] or 0.0),
        sequences=config.prompts_per_update,
    )
    return {
        "policy_loss": done.policy_loss,
        "value_loss": done.value_loss,
        "clip_fraction": done.clip_fraction,
        "value_clip_fraction": done.value_clip_fraction,
        "approx_kl": done.approx_kl,
        "grad_norm": done.grad_norm,
        "value_grad_norm": done.value_grad_norm,
        "value_explained_variance": float(
            explained_variance(
                experience.values, experience.returns, experience.mask, reduce=reduce
            )
        ),
        "beta": beta,
        "learning_rate": parts.learner.optimizer.param_groups[0]["lr"],
        "optimizer_steps": float(done.steps),
        "stopped_early": float(done.stopped_early),
    }


def _note_measured(parts: Parts, progress: Progress, rollout: Rollout, update: int) -> None:
    """Keep what this rollout says of the present policy: its row, its samples, its weights."""
    config = parts.config
    progress.measured = dict(rollout.metrics)
    held_out = rollout.metrics["reward_held_out"]
    if held_out is not None and (
        progress.best_held_out is None or held_out > progress.best_held_out
    ):
        progress.best_held_out, progress.best_held_out_update = held_out, update
    if update % config.evaluate_every == 0 or update == config.updates:
        parts.samples.add(update, rollout.prompts, rollout.episodes, rollout.scores)
    if config.kl.budget > 0:
        weights = parts.learner.actor.policy_parameters()
        progress.under_budget = [weight.detach().clone() for weight in weights]


def _return_under_budget(parts: Parts, progress: Progress) -> None:
    """Take the last policy whose KL was measured under the budget; its row stays the final one."""
    if not progress.under_budget:
        raise UserError(
            "The policy is further from the reference than kl.budget "
            f"({parts.config.kl.budget} nats) before the first update: raise the budget, or start "
            "from a policy nearer to the reference."
        )
    _load_weights(parts.policy.model, progress.under_budget)
    progress.stopped_by = "kl_budget"


def _save_or_cancel(parts: Parts, progress: Progress) -> None:
    if progress.update % parts.config.checkpoint_every == 0:
        save(parts, progress)
    cancel_check(parts.run, parts.accelerator, lambda: save(parts, progress))


# ------------------------------------------------------------------------- finish


def finish(parts: Parts, progress: Progress) -> None:
    run, accelerator = parts.run, parts.accelerator
    accelerator.wait_for_everyone()
    artifacts: list[ArtifactRef] = []
    if run.main:
        _set_generation(parts.policy, parts.config)
        artifacts = [
            run.write_directory("policy", "policy", lambda path: _write_policy(parts.policy, path)),
            parts.samples.artifact(),
        ]
    run.finish(artifacts, results(parts, progress))
    parts.store.clear()


def _set_generation(policy: LoadedModel, config: PpoConfig) -> None:
    """A server that is asked for nothing else samples as in training, and stops where it should."""
    generation = policy.model.generation_config
    generation.update(
        do_sample=True,
        temperature=config.sampling.temperature,
        top_k=config.sampling.top_k,
        top_p=config.sampling.top_p,
        max_new_tokens=config.sampling.max_new_tokens,
        eos_token_id=list(policy.end_ids),
        pad_token_id=policy.pad_id,
    )


def _write_policy(policy: LoadedModel, path: Path) -> None:
    model_save(policy, path)


def results(parts: Parts, progress: Progress) -> Mapping[str, Any]:
    kept = progress.update - (progress.stopped_by == "kl_budget")
    return {
        "final": progress.measured,
        "updates": kept,
        "updates_run": progress.update,
        "stopped_by": progress.stopped_by,
        "sampling": parts.config.sampling.to_json(),
        "optimizer_steps": progress.optimizer_steps,
        "beta": progress.beta,
        "tokens": dict(progress.tokens),
        "seconds": {phase: round(spent, 3) for phase, spent in progress.seconds.items()},
        "best_held_out_update": progress.best_held_out_update,
        "best_held_out_reward": progress.best_held_out,
        "checkpoints_refused": list(parts.store.refused),
    }


# ------------------------------------------------------------------- time and ranks


def _rank(parts: Parts) -> int:
    return int(parts.accelerator.process_index)


def _total(parts: Parts, count: int) -> int:
    """A count added up over all processes."""
    return int(parts.learner.reduce(torch.tensor(count, device=parts.accelerator.device)))


@contextmanager
def _timed(parts: Parts, progress: Progress, phase: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    if parts.accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    progress.seconds[phase] += time.monotonic() - began


def _pace(progress: Progress, seconds: dict[str, float], tokens: dict[str, int]) -> Metrics:
    """Seconds and tokens per second of each phase since the sums given."""
    pace: Metrics = {}
    for phase in PHASES:
        spent = progress.seconds[phase] - seconds[phase]
        done = progress.tokens[phase] - tokens[phase]
        pace[f"seconds_{phase}"] = spent
        pace[f"tokens_per_second_{phase}"] = done / spent if spent > 0 else None
    return pace


if __name__ == "__main__":
    raise SystemExit(main())
