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
that the held-out reward model liked best. With `outlier_texts` each row also has the share of its texts that
lie outside what the reference writes, as the reward model reads them. With a LoRA adapter and a policy that is
the reference, the reference is the policy with its adapter switched off.

Written: the artifact "policy" (Hugging Face layout, ready to be served), "ppo_samples", and "adapter"
where one was trained (the policy has it merged in).
A run that was killed goes on from its last checkpoint; every random number depends on the seed and on
counters only, so on a CPU it ends with the same bytes as one that ran through.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from training.contracts import PpoConfig
from training.core.data.randomness import derive_seed
from training.core.ppo.constraints import next_multiplier
from training.core.ppo.controllers import next_beta
from training.core.ppo.experience import Experience, build_experience
from training.core.ppo.settings_check import check_settings
from training.core.ppo.shaping import preference_as_reward
from training.core.reward.outliers import StateCloud
from training.core.rollout.episodes import TokenTables
from training.core.rollout.kl import k1, sequence_mean
from training.core.rollout.metrics import explained_variance
from training.core.rollout.rollouts import Rollout
from training.core.run.checkpoints import seed_everything
from training.core.run.run_directory import Run, recipe_main
from training.recipes.ppo_parts import PpoParts, PpoProgress, ppo_open
from training.recipes.ppo_reference import clouds_measure, score_reference, with_clouds
from training.recipes.runtime import accelerator_open, torch_configure, unsharded_require
from training.recipes.tuning import finish, first_texts_require, resume, save_or_cancel

Metrics = dict[str, float | None]


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "ppo", PpoConfig, argv)


def train(run: Run[PpoConfig]) -> None:
    torch_configure()
    accelerator = accelerator_open()
    check_settings(run.config, processes=accelerator.num_processes)
    if run.config.packed:
        unsharded_require(accelerator, "packed reads whole weights", fix="set it to false")
    if run.config.gradient_penalty > 0:
        unsharded_require(accelerator, "gradient_penalty moves whole weights", fix="set it to 0")
    seed_everything(run.spec.seed)
    parts = ppo_open(run, accelerator)
    progress = resume(parts, PpoProgress(beta=run.config.kl.beta))
    if run.config.reward_shaping != "none" and progress.reference_scores is None:
        progress.reference_scores = score_reference(parts)
    if run.config.outlier_texts > 0:
        parts = watched(parts, progress)
    if parts.moving and progress.reference_weights:
        parts.moving.restore(progress.reference_weights)
    learn(parts, progress)
    finish(parts, progress, results(progress))


def watched(parts: PpoParts, progress: PpoProgress) -> PpoParts:
    """Parts that count texts outside the reference's cloud: that of the checkpoint, or one that is made now."""
    if progress.clouds:
        return with_clouds(parts, tuple(map(StateCloud.from_state, progress.clouds)))
    clouds = clouds_measure(parts)
    progress.clouds = [cloud.to_state() for cloud in clouds]
    return with_clouds(parts, clouds)


# --------------------------------------------------------------------------- loop


def learn(parts: PpoParts, progress: PpoProgress) -> None:
    """Measure, learn, save; the last round measures only, so that the kept policy has its row."""
    config, run = parts.config, parts.run
    for update in range(progress.step, config.updates + 1):
        began, before = time.monotonic(), progress.throughput.copy()
        seed_everything(derive_seed(run.spec.seed, "update", update, _rank(parts)))
        rollout = collect(parts, progress, update)
        if update == 0:
            first_texts_require(parts, rollout.episodes, entropy=rollout.metrics["entropy"])
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
    """Sample this process's share of the update's completions, those of a prompt in a row; score it once."""
    config, accelerator, throughput = parts.config, parts.accelerator, progress.throughput
    rows = rollout_rows(parts, update)
    first = update * config.completions_per_update + _rank(parts) * len(rows)
    seeds = [derive_seed(parts.run.spec.seed, "sample", first + i) for i in range(len(rows))]
    with parts.network.whole(), accelerator.autocast():
        with throughput.timed("rollout", accelerator.device):
            episodes = parts.sampler.sample([parts.prompt_ids[row] for row in rows], seeds)
        with throughput.timed("score", accelerator.device):
            rollout = parts.sampler.score([parts.prompts[row] for row in rows], episodes)
    for phase, tokens in (("rollout", episodes.written), ("score", episodes.read)):
        throughput.tokens[phase] += _total(parts, tokens)
    return rollout


def rollout_rows(parts: PpoParts, update: int) -> list[int]:
    """The prompt of each completion that this process samples, by its place in the data."""
    config = parts.config
    share = config.prompts_per_update // parts.accelerator.num_processes
    first = update * config.prompts_per_update + _rank(parts) * share
    group = range(config.completions_per_prompt)
    return [row for row in parts.order.take(first, share) for _ in group]


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
    paid, shaped = shape(parts, progress, rollout, update)
    tables, moved = priced(parts, rollout)
    with progress.throughput.timed("train", parts.accelerator.device):
        experience = build_experience(
            rollout.episodes,
            tables,
            paid,
            beta=progress.beta,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            missing_eos_penalty=config.missing_eos_penalty,
            whiten_advantages=config.whiten_advantages,
            advantage=config.advantage,
            group=config.completions_per_prompt,
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
    if parts.moving is not None:
        parts.moving.follow(parts.network.plain.policy)
        progress.reference_weights = parts.moving.weights()
    progress.beta = _next_price(config, beta, float(rollout.metrics["kl_k1"] or 0.0))
    row = done.to_row(
        with_ptx=parts.learner.demonstrations is not None, with_critic=config.has_critic
    )
    if config.has_critic:
        row["value_explained_variance"] = _explained(parts, experience)
    rate = parts.learner.optimizer.param_groups[0]["lr"]
    return row | shaped | moved | {"beta": beta, "learning_rate": rate}


def _next_price(config: PpoConfig, beta: float, sequence_kl: float) -> float:
    if config.kl.kind == "lagrangian":
        return next_multiplier(beta, control=config.kl, sequence_kl=sequence_kl)
    sequences = config.completions_per_update
    return next_beta(beta, control=config.kl, sequence_kl=sequence_kl, sequences=sequences)


def priced(parts: PpoParts, rollout: Rollout) -> tuple[TokenTables, Metrics]:
    """The tables by which KL is paid for, and how far the policy is from a reference that moves."""
    if parts.moving is None:
        return rollout.tables, {}
    with parts.accelerator.autocast():
        found = parts.moving.log_probs(
            rollout.episodes,
            temperature=parts.config.sampling.temperature,
            pad_id=parts.policy.pad_id,
            batch_size=parts.config.micro_batch_size,
        )
    mask = rollout.episodes.response_mask(found.device)
    kl = sequence_mean(k1(rollout.tables.log_probs, found), mask, reduce=parts.learner.reduce)
    return rollout.tables._replace(reference_log_probs=found), {"kl_moving": float(kl)}


def shape(
    parts: PpoParts, progress: PpoProgress, rollout: Rollout, update: int
) -> tuple[torch.Tensor, Metrics]:
    """What each completion is paid [B], and what an event says of it where it is not its score."""
    if progress.reference_scores is None:
        return rollout.scores.train, {}
    reference = progress.reference_scores[rollout_rows(parts, update)]
    paid = preference_as_reward(rollout.scores.train, reference, slope=parts.config.shaping_slope)
    sums = parts.learner.reduce(
        torch.tensor([float(paid.sum()), len(paid)], device=parts.accelerator.device)
    )
    return paid, {"reward_shaped": float(sums[0] / sums[1])}


def _explained(parts: PpoParts, experience: Experience) -> float:
    values, returns, mask = experience.values, experience.returns, experience.mask
    return float(explained_variance(values, returns, mask, reduce=parts.learner.reduce))


def results(progress: PpoProgress) -> Mapping[str, Any]:
    return {"optimizer_steps": progress.optimizer_steps, "beta": progress.beta}


def _rank(parts: PpoParts) -> int:
    return int(parts.accelerator.process_index)


def _total(parts: PpoParts, count: int) -> int:
    """A count added up over all processes."""
    return int(parts.learner.reduce(torch.tensor(count, device=parts.accelerator.device)))


if __name__ == "__main__":
    raise SystemExit(main())
