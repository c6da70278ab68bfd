"""Rejection sampling: draw n completions a prompt, keep the best one, and learn to write it.

    accelerate launch -m training.recipes.best_of_n RUN/spec.json [--token N]

Inputs of the run spec:

policy                  where training starts
reference               what the KL is measured to
prompts                 JSON lines of prompts
reward_model            what chooses (an ensemble); a `reward_function` may take its place
held_out_reward_model   optional; logged beside it, never chooses

Each iteration draws from the policy that the one before made (Touvron 2023, section 3.2.3) and
fine-tunes on the winners. Rows with phase "drawn" say what choosing among 1, 2, 4 ... n completions
is worth by both reward models, estimated without bias, and how far it may lead. An event row with
phase "best_of_n" describes the policy after `step` optimiser steps, rows with phase "train" the steps
between, and the last one, with phase "final", the policy that is kept.

Written: the artifact "policy" (Hugging Face layout, ready to be served), "best_of_n_chosen" (the
winners with their scores), "best_of_n_samples", and "adapter" where one was trained (the policy has it
merged in). A run that was killed goes on from its last checkpoint and on a CPU ends with the same
bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from accelerate.utils import gather_object
from torch import Tensor

from training.contracts import ArtifactRef, BestOfNConfig
from training.core.alarms import loss_check
from training.core.artifacts import file_write
from training.core.batches import batches_from
from training.core.best_of_n import expected_by_n
from training.core.checkpoints import CheckpointStore, seed_everything
from training.core.conversations import Encoded
from training.core.data import PromptRow, prompts_read
from training.core.kept_policy import KeptPolicy, Limits
from training.core.lora import adapter_add, trainable_parameters
from training.core.memory_estimate import memory_report
from training.core.models import LoadedModel, policy_load_path
from training.core.policy_artifact import policy_artifacts_write
from training.core.policy_meter import PHASES, PolicyMeter, measure_points, meter_open
from training.core.policy_state import policy_state, policy_state_restore
from training.core.ppo import preflight
from training.core.ppo.pace import Pace
from training.core.ppo.randomness import PromptOrder, derive_seed
from training.core.ppo.rewarding import Rewarder, rewarder_open
from training.core.ppo.samples import SampleLog
from training.core.reference_policy import reference_cast, reference_open
from training.core.run_directory import Run, recipe_main
from training.core.supervised import assistant_loss
from training.core.tuning_footprint import BEST_OF_N_FIXES, best_of_n_footprint
from training.core.tuning_settings import check_best_of_n
from training.core.winners import Draw, Examples, Winner, chosen_lines, winners_choose
from training.recipes.runtime import (
    Network,
    accelerator_open,
    adamw,
    cancel_check,
    footprint_sizes,
    network_open,
    optimizer_step,
    own_share,
    torch_configure,
    total,
    warmed_rate_set,
)

Metrics = dict[str, float | None]
CHOSEN = "chosen.jsonl"


@dataclass
class Progress:
    """Everything but weights in training that a resumed run needs; plain values and tensors only.

    `examples` are those of the present iteration; `loss` and `tokens` add up since the last
    measurement.
    """

    step: int = 0
    drawn: int = 0
    stopped_by: str = "steps"
    loss: float = 0.0
    tokens: float = 0.0
    expected: list[list[Metrics]] = field(default_factory=list)
    examples: Examples = field(default_factory=Examples)
    pace: Pace = field(default_factory=lambda: Pace.start(PHASES))
    kept: KeptPolicy = field(default_factory=KeptPolicy)

    def to_state(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).to_state() for name in ("examples", "pace", "kept")}
        return vars(self) | parts

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        inner = {
            "examples": Examples.from_state(state["examples"]),
            "pace": Pace(**state["pace"]),
            "kept": KeptPolicy.from_state(state["kept"]),
        }
        return cls(**(state | inner))


@dataclass(frozen=True)
class Parts:
    """What the loop works with; built once."""

    run: Run[BestOfNConfig]
    accelerator: Any
    policy: LoadedModel
    network: Network[Any]
    optimizer: Any
    rewarder: Rewarder
    prompts: list[PromptRow]
    prompt_ids: list[list[int]]
    meter: PolicyMeter
    store: CheckpointStore
    samples: SampleLog

    @property
    def config(self) -> BestOfNConfig:
        return self.run.config

    @property
    def steps_per_iteration(self) -> int:
        config = self.config
        return config.epochs * math.ceil(config.prompts_per_iteration / config.batch_size)

    @property
    def steps(self) -> int:
        return self.config.iterations * self.steps_per_iteration


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "best_of_n", BestOfNConfig, argv)


def train(run: Run[BestOfNConfig]) -> None:
    torch_configure()
    check_best_of_n(run.config)
    accelerator = accelerator_open()
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts)
    learn(parts, progress)
    finish(parts, progress)


# -------------------------------------------------------------------------- build


def build(run: Run[BestOfNConfig], accelerator: Any) -> Parts:
    """Load, check, and only then hand the policy to the accelerator."""
    config, device = run.config, accelerator.device
    found = best_of_n_footprint(run, **footprint_sizes(accelerator))
    memory_report(run, found, device=device, fixes=BEST_OF_N_FIXES)
    policy = policy_load_path(run.input("policy"))
    prompts = prompts_read(run.input("prompts"))
    preflight.check_tokens(policy)
    prompt_ids = preflight.encode_prompts(policy, prompts, config.measure)
    policy.model.to(device)
    policy.model.eval()
    reference = reference_open(run, policy, config.adapter, device=device)
    preflight.check_log_probs(policy, prompt_ids, config.measure)
    preflight.check_patience(run, config.measure.held_out_patience)
    rewarder = rewarder_open(
        run,
        combination=config.reward_combination,
        variance_weight=config.variance_weight,
        function=config.reward_function,
        device=device,
    )
    preflight.check_rewarder(rewarder, prompts)
    run.emit("preflight", 1, 1, message="Settings, prompts and models fit together.")
    meter = meter_open(
        policy,
        reference,
        rewarder,
        prompts,
        prompt_ids,
        config=config.measure,
        seed=run.spec.seed,
        batch_size=config.measure.sampling.batch_size,
        accelerator=accelerator,
    )
    adapter_add(policy.model, config.adapter, seed=run.spec.seed)
    network = network_open(accelerator, policy.model)
    reference_cast(reference, network.dtype)
    return Parts(
        run=run,
        accelerator=accelerator,
        policy=policy,
        network=network,
        optimizer=accelerator.prepare(adamw(network.inner, config.learning_rate, weight_decay=0.0)),
        rewarder=rewarder,
        prompts=prompts,
        prompt_ids=prompt_ids,
        meter=meter,
        store=CheckpointStore(run.directory / "checkpoints", guard=run.guard, main=run.main),
        samples=SampleLog(run, "best_of_n_samples"),
    )


# ------------------------------------------------------------------------- resume


def resume(parts: Parts) -> Progress:
    """The state of the newest whole checkpoint, or a first one."""
    checkpoint = parts.store.load()
    if checkpoint is None:
        return Progress()
    progress = Progress.from_state(
        policy_state_restore(parts.network.inner, parts.optimizer, checkpoint.state)
    )
    parts.samples.keep_before(progress.step)
    parts.run.emit("resume", progress.step, parts.steps, message="Resumed from a checkpoint.")
    return progress


def save(parts: Parts, progress: Progress) -> None:
    state = policy_state(parts.network.inner, parts.optimizer, progress.to_state())
    parts.store.save(progress.step, state)


# --------------------------------------------------------------------------- loop


def learn(parts: Parts, progress: Progress) -> None:
    """Draw, learn, measure at the points; the last point only measures."""
    config, run, steps = parts.config, parts.run, parts.steps
    points = measure_points(steps, config.measure.points)
    for step in range(progress.step, steps + 1):
        ending = measure(parts, progress) if step in points else ""
        if ending or step == steps:
            progress.stopped_by = ending or progress.stopped_by
            break
        if progress.drawn == step // parts.steps_per_iteration:
            draw(parts, progress)
        with progress.pace.timed("train", parts.accelerator.device):
            row = train_step(parts, progress)
        progress.step = step + 1
        if progress.step % config.log_every == 0:
            run.emit("train", progress.step, steps, row)
        if progress.step % config.checkpoint_every == 0:
            save(parts, progress)
        cancel_check(run, parts.accelerator, lambda: save(parts, progress))
    progress.kept.report(run, steps, stopped_by=progress.stopped_by)


# --------------------------------------------------------------------------- draw


def draw(parts: Parts, progress: Progress) -> None:
    """Draw and score this iteration's completions, and take the winners as its examples."""
    config, iteration = parts.config, progress.drawn
    order = PromptOrder(len(parts.prompts), seed=parts.run.spec.seed)
    count = config.prompts_per_iteration
    asked = order.take(iteration * count, count)
    mine = own_share(parts.accelerator, range(count))
    found = _draw_share(parts, progress, [(place, asked[place]) for place in mine])
    winners = [Winner(*winner) for winner in sorted(gather_object(found.winners))]
    progress.examples = Examples.of(winners, parts.prompt_ids)
    progress.expected.append(
        expected_by_n(found.train, found.held_out, total=partial(total, parts.accelerator))
    )
    message = f"Iteration {iteration + 1} of {config.iterations}."
    for row in progress.expected[-1]:
        parts.run.emit("drawn", int(row["n"] or 0), config.n, row, message=message)
    progress.drawn += 1
    if parts.run.main:
        path = parts.run.directory / CHOSEN
        lines = chosen_lines(path, winners, parts.prompts, iteration=progress.drawn)
        file_write(path, lines, guard=parts.run.guard)


def _draw_share(parts: Parts, progress: Progress, asked: list[tuple[int, int]]) -> Draw:
    config, sampler, seed = parts.config, parts.meter.sampler, parts.run.spec.seed
    rows = [(place, prompt, k) for place, prompt in asked for k in range(config.n)]
    seeds = [derive_seed(seed, "draw", progress.drawn, place, k) for place, _, k in rows]
    prompts = [parts.prompts[prompt].messages for _, prompt, _ in rows]
    with parts.network.whole(), parts.accelerator.autocast():
        with progress.pace.timed("rollout", sampler.device):
            drawn = sampler.sample([parts.prompt_ids[prompt] for _, prompt, _ in rows], seeds)
        with progress.pace.timed("score", sampler.device):
            scores = parts.rewarder(prompts, drawn.texts)
    progress.pace.tokens["rollout"] += drawn.written
    progress.pace.tokens["score"] += drawn.read
    return winners_choose(
        asked, drawn, scores, n=config.n, missing_eos_penalty=config.missing_eos_penalty
    )


# -------------------------------------------------------------------------- learn


def train_step(parts: Parts, progress: Progress) -> Metrics:
    """One optimiser step on winners; the loss is the mean over the completions' tokens."""
    config, accelerator = parts.config, parts.accelerator
    rate = warmed_rate_set(
        parts.optimizer,
        config.learning_rate,
        step=progress.step,
        steps=parts.steps,
        warmup_share=config.warmup_share,
    )
    examples = _batch(parts, progress)
    share = own_share(accelerator, range(len(examples)))
    mine, weight = [examples[i] for i in share] or [examples[0]], 1.0 if share else 0.0
    tokens = max(1.0, total(accelerator, weight * sum(sum(e.trained[1:]) for e in mine)))
    summed = list[Tensor]()

    def share_of(worked: float) -> Tensor:
        loss = assistant_loss(parts.network.model, mine, parts.policy.pad_id).total * worked
        summed.append(loss.detach())
        return loss.mul(weight).mul(accelerator.num_processes).div(tokens)

    norm = optimizer_step(
        accelerator, parts.network.model, parts.optimizer, [share_of], config.max_grad_norm
    )
    loss = total(accelerator, weight * summed[0])
    loss_check(loss, step=progress.step)
    progress.loss, progress.tokens = progress.loss + loss, progress.tokens + tokens
    progress.pace.tokens["train"] += sum(len(e.ids) for e in examples)
    return {"loss": loss / tokens, "grad_norm": norm, "learning_rate": rate}


def _batch(parts: Parts, progress: Progress) -> list[Encoded]:
    """The winners of the present step; which ones follows from seed and step alone."""
    iteration, step = divmod(progress.step, parts.steps_per_iteration)
    (batch,) = batches_from(
        progress.examples.lengths,
        parts.config.batch_size,
        seed=derive_seed(parts.run.spec.seed, "batches", iteration),
        start=step,
        stop=step + 1,
    )
    return progress.examples.encoded(batch)


def measure(parts: Parts, progress: Progress) -> str:
    """One row on the present policy; returns why the run ends here, or ""."""
    seed_everything(derive_seed(parts.run.spec.seed, "measure", progress.step))
    with parts.network.whole(), parts.accelerator.autocast():
        rollout = parts.meter.measure(progress.pace)
    row = dict(rollout.metrics)
    if progress.tokens > 0:
        row["loss"] = progress.loss / progress.tokens
    progress.loss = progress.tokens = 0.0
    weights, limits = trainable_parameters(parts.network.inner), Limits.of(parts.config.measure)
    ending = progress.kept.note(row, at=progress.step, weights=weights, limits=limits)
    if ending != "kl_budget":
        parts.samples.add(progress.step, rollout.prompts, rollout.episodes, rollout.scores)
    seconds = {f"seconds_{phase}": spent for phase, spent in progress.pace.seconds.items()}
    parts.run.emit("best_of_n", progress.step, parts.steps, row | seconds)
    return ending


# ------------------------------------------------------------------------- finish


def finish(parts: Parts, progress: Progress) -> None:
    run = parts.run
    trained = trainable_parameters(parts.network.inner)
    progress.kept.restore(trained)
    parts.accelerator.wait_for_everyone()
    artifacts: list[ArtifactRef] = []
    with parts.network.saved():
        if run.main:
            artifacts = policy_artifacts_write(run, parts.policy, parts.config.measure.sampling)
            chosen = (run.directory / CHOSEN).read_bytes()
            artifacts.append(run.write_file("best_of_n_chosen", CHOSEN, chosen))
            artifacts.append(parts.samples.artifact())
    run.finish(artifacts, results(parts, progress, sum(p.numel() for p in trained)))
    parts.store.clear()


def results(parts: Parts, progress: Progress, trained: int) -> Mapping[str, Any]:
    return {
        **progress.kept.results(),
        **progress.pace.results(),
        "updates_run": progress.step,
        "stopped_by": progress.stopped_by,
        "iterations_drawn": progress.drawn,
        "expected_by_n": progress.expected,
        "sampling": parts.config.measure.sampling.to_json(),
        "trained_parameters": trained,
        "checkpoints_refused": list(parts.store.refused),
    }


if __name__ == "__main__":
    raise SystemExit(main())
