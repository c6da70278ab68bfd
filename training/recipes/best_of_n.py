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
from typing import Any, NamedTuple

import torch
from accelerate.utils import gather_object
from torch import Tensor

from training.contracts import ArtifactRef, BestOfNConfig
from training.core.alarms import Alarm, AlarmRaised
from training.core.artifacts import file_write
from training.core.batches import batches_from
from training.core.best_of_n import best_of_n_kl, best_rows, expected_best, powers_of_two
from training.core.checkpoints import CheckpointStore, seed_everything
from training.core.conversations import Encoded
from training.core.data import PromptRow, prompts_read
from training.core.kept_policy import KeptPolicy, Limits, weights_load
from training.core.lora import adapter_add, trainable_parameters
from training.core.models import LoadedModel, policy_load_path
from training.core.policy_artifact import policy_artifacts_write
from training.core.policy_meter import (
    PHASES,
    PolicyMeter,
    measure_points,
    meter_open,
    rewarder_for,
)
from training.core.ppo import preflight
from training.core.ppo.pace import Pace
from training.core.ppo.randomness import PromptOrder, derive_seed
from training.core.ppo.rewarding import Rewarder
from training.core.ppo.rewards import penalise_missing_eos
from training.core.ppo.samples import SampleLog
from training.core.reference_policy import reference_open
from training.core.run_directory import Run, recipe_main
from training.core.supervised import assistant_loss
from training.core.tuning_settings import check_best_of_n
from training.core.winners import Examples, Winner, chosen_lines
from training.recipes.runtime import (
    accelerator_open,
    adamw,
    cancel_check,
    learning_rate_set,
    linear_schedule,
    own_share,
    torch_configure,
    total,
    unsharded_require,
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
    model: Any
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
    def limits(self) -> Limits:
        measure = self.config.measure
        return Limits(measure.kl_budget, measure.held_out_patience, measure.alarms)

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
    unsharded_require(accelerator, "Best-of-n learns on whole weights", fix="take PPO")
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts)
    learn(parts, progress)
    finish(parts, progress)


# -------------------------------------------------------------------------- build


def build(run: Run[BestOfNConfig], accelerator: Any) -> Parts:
    """Load, check, and only then hand the policy to the accelerator."""
    config, device = run.config, accelerator.device
    policy = policy_load_path(run.input("policy"))
    prompts = prompts_read(run.input("prompts"))
    preflight.check_tokens(policy)
    prompt_ids = preflight.encode_prompts(policy, prompts, config.measure)
    policy.model.to(device)
    policy.model.eval()
    reference = reference_open(run, policy, config.adapter, device=device)
    preflight.check_log_probs(policy, prompt_ids, config.measure)
    preflight.check_patience(run, config.measure.held_out_patience)
    rewarder = rewarder_for(
        run,
        combination=config.reward_combination,
        variance_weight=config.variance_weight,
        function=config.reward_function,
        device=device,
    )
    preflight.check_rewarder(rewarder, prompts)
    run.emit("preflight", 1, 1, message="Settings, prompts and models fit together.")
    adapter_add(policy.model, config.adapter, seed=run.spec.seed)
    optimizer = adamw(policy.model, config.learning_rate, weight_decay=0.0)
    model, optimizer = accelerator.prepare(policy.model, optimizer)
    meter = meter_open(
        policy,
        reference,
        rewarder,
        prompts,
        prompt_ids,
        config=config.measure,
        seed=run.spec.seed,
        batch_size=config.measure.sampling.batch_size,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
        device=device,
        reduce=lambda value: accelerator.reduce(value, reduction="sum"),
    )
    return Parts(
        run=run,
        accelerator=accelerator,
        policy=policy,
        model=model,
        optimizer=optimizer,
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
    weights_load(trainable_parameters(parts.policy.model), checkpoint.state["weights"])
    parts.optimizer.load_state_dict(checkpoint.state["optimizer"])
    progress = Progress.from_state(checkpoint.state["progress"])
    parts.samples.keep_before(progress.step)
    parts.run.emit("resume", progress.step, parts.steps, message="Resumed from a checkpoint.")
    return progress


def save(parts: Parts, progress: Progress) -> None:
    state = {
        "weights": [p.detach() for p in trainable_parameters(parts.policy.model)],
        "optimizer": parts.optimizer.state_dict(),
        "progress": progress.to_state(),
    }
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
    progress.kept.report(run, steps)
    message = f"Stopped by {progress.stopped_by}."
    run.emit("final", 1, 1, progress.kept.row, message=message)


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
    progress.examples = Examples(
        [[*parts.prompt_ids[winner.prompt], *winner.response] for winner in winners],
        [len(parts.prompt_ids[winner.prompt]) for winner in winners],
    )
    progress.expected.append(_expected(parts, found, iteration))
    progress.drawn += 1
    if parts.run.main:
        path = parts.run.directory / CHOSEN
        lines = chosen_lines(path, winners, parts.prompts, iteration=progress.drawn)
        file_write(path, lines, guard=parts.run.guard)


class Draw(NamedTuple):
    """One process's share: its winners, and the scores (P, n) of all that it drew."""

    winners: list[Winner]
    train: Tensor
    held_out: Tensor | None


def _draw_share(parts: Parts, progress: Progress, asked: list[tuple[int, int]]) -> Draw:
    config, sampler, seed = parts.config, parts.meter.sampler, parts.run.spec.seed
    rows = [(place, prompt, k) for place, prompt in asked for k in range(config.n)]
    seeds = [derive_seed(seed, "draw", progress.drawn, place, k) for place, _, k in rows]
    prompts = [parts.prompts[prompt].messages for _, prompt, _ in rows]
    with parts.accelerator.autocast():
        with progress.pace.timed("rollout", sampler.device):
            drawn = sampler.sample([parts.prompt_ids[prompt] for _, prompt, _ in rows], seeds)
        with progress.pace.timed("score", sampler.device):
            scores = parts.rewarder(prompts, drawn.texts)
    written = sum(map(len, drawn.responses))
    progress.pace.tokens["rollout"] += written
    progress.pace.tokens["score"] += written + sum(map(len, drawn.prompts))
    ended = torch.tensor(drawn.ended)
    fined = penalise_missing_eos(scores.train.cpu(), ended, penalty=config.missing_eos_penalty)
    train = fined.view(-1, config.n)
    held_out = None if scores.held_out is None else scores.held_out.cpu().view(-1, config.n)
    winners = []
    for row, ((place, prompt), best) in enumerate(
        zip(asked, best_rows(train).tolist(), strict=True)
    ):
        at = row * config.n + best
        watched = None if held_out is None else float(held_out[row, best])
        words = drawn.responses[at], drawn.texts[at]
        winners.append(Winner(place, prompt, *words, float(train[row, best]), watched))
    return Draw(winners, train, held_out)


def _expected(parts: Parts, drawn: Draw, iteration: int) -> list[Metrics]:
    """What the best of 1, 2, 4 ... n is worth, over all processes; logged with phase "drawn"."""
    prompts = total(parts.accelerator, len(drawn.train))
    rows: list[Metrics] = []
    for n in powers_of_two(parts.config.n):
        sides = {"reward_train": drawn.train, "reward_held_out": drawn.held_out}
        row: Metrics = {"n": float(n), "kl_bound": best_of_n_kl(n)}
        for name, scores in sides.items():
            row[name] = None
            if scores is not None:
                value = expected_best(drawn.train, scores, n).sum()
                row[name] = total(parts.accelerator, value) / prompts
        rows.append(row)
        message = f"Iteration {iteration + 1} of {parts.config.iterations}."
        parts.run.emit("drawn", n, parts.config.n, row, message=message)
    return rows


# -------------------------------------------------------------------------- learn


def train_step(parts: Parts, progress: Progress) -> Metrics:
    """One optimiser step on winners; the loss is the mean over the completions' tokens."""
    config, accelerator = parts.config, parts.accelerator
    factor = linear_schedule(
        progress.step, steps=parts.steps, warmup=math.ceil(config.warmup_share * parts.steps)
    )
    learning_rate_set(parts.optimizer, config.learning_rate * factor)
    examples = _batch(parts, progress)
    share = own_share(accelerator, range(len(examples)))
    mine = [examples[i] for i in share] or [examples[0]]
    parts.optimizer.zero_grad()
    loss = assistant_loss(parts.model, mine, parts.policy.pad_id)
    weight = 1.0 if share else 0.0
    tokens = max(1.0, total(accelerator, weight * loss.tokens))
    accelerator.backward(loss.total * weight * accelerator.num_processes / tokens)
    norm = accelerator.clip_grad_norm_(
        trainable_parameters(parts.policy.model), config.max_grad_norm
    )
    parts.optimizer.step()
    summed = total(accelerator, weight * loss.total.detach())
    if not math.isfinite(summed):
        raise AlarmRaised(
            Alarm("nan", f"The loss is {summed} at step {progress.step}: lower learning_rate.")
        )
    progress.loss, progress.tokens = progress.loss + summed, progress.tokens + tokens
    progress.pace.tokens["train"] += sum(len(e.ids) for e in examples)
    rate = config.learning_rate * factor
    return {"loss": summed / tokens, "grad_norm": float(norm), "learning_rate": rate}


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
    with parts.accelerator.autocast():
        rollout = parts.meter.measure(progress.pace)
    row = dict(rollout.metrics)
    if progress.tokens > 0:
        row["loss"] = progress.loss / progress.tokens
    progress.loss = progress.tokens = 0.0
    weights = trainable_parameters(parts.policy.model)
    ending = progress.kept.note(row, at=progress.step, weights=weights, limits=parts.limits)
    if ending != "kl_budget":
        parts.samples.add(progress.step, rollout.prompts, rollout.episodes, rollout.scores)
    seconds = {f"seconds_{phase}": spent for phase, spent in progress.pace.seconds.items()}
    parts.run.emit("best_of_n", progress.step, parts.steps, row | seconds)
    return ending


# ------------------------------------------------------------------------- finish


def finish(parts: Parts, progress: Progress) -> None:
    run = parts.run
    trained = trainable_parameters(parts.policy.model)
    count = sum(parameter.numel() for parameter in trained)
    progress.kept.restore(trained)
    parts.accelerator.wait_for_everyone()
    artifacts: list[ArtifactRef] = []
    if run.main:
        artifacts = policy_artifacts_write(run, parts.policy, parts.config.measure.sampling)
        chosen = (run.directory / CHOSEN).read_bytes()
        artifacts += [run.write_file("best_of_n_chosen", CHOSEN, chosen), parts.samples.artifact()]
    run.finish(artifacts, results(parts, progress, count))
    parts.store.clear()


def results(parts: Parts, progress: Progress, trained: int) -> Mapping[str, Any]:
    return {
        "final": progress.kept.row,
        "updates": progress.kept.at,
        "updates_run": progress.step,
        "stopped_by": progress.stopped_by,
        "alarm": progress.kept.alarm or None,
        "iterations_drawn": progress.drawn,
        "expected_by_n": progress.expected,
        "sampling": parts.config.measure.sampling.to_json(),
        "tokens": dict(progress.pace.tokens),
        "seconds": {phase: round(spent, 3) for phase, spent in progress.pace.seconds.items()},
        "best_held_out_update": progress.kept.best_at,
        "best_held_out_reward": progress.kept.best_held_out,
        "trained_parameters": trained,
        "checkpoints_refused": list(parts.store.refused),
    }


if __name__ == "__main__":
    raise SystemExit(main())
