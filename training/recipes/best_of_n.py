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

from annotation.rows import PromptRow
from training.contracts import ArtifactRef, BestOfNConfig
from training.core.best_of_n.best_samples import (
    BestSample,
    DrawnShare,
    Examples,
    best_samples_choose,
    chosen_lines,
)
from training.core.best_of_n.estimates import expected_by_n
from training.core.data.batches import batches_from
from training.core.data.conversations import Encoded
from training.core.data.randomness import PromptOrder, derive_seed
from training.core.model.supervised import assistant_loss
from training.core.rollout.rewarding import Rewarder
from training.core.run.alarms import loss_check
from training.core.run.artifacts import file_write
from training.core.run.checkpoints import seed_everything
from training.core.run.run_directory import Run, recipe_main
from training.core.tuning.footprint import BEST_OF_N_FIXES, best_of_n_footprint
from training.core.tuning.progress import TrainingProgress
from training.core.tuning.settings import check_best_of_n
from training.recipes.runtime import (
    accelerator_open,
    optimizer_step,
    own_share,
    torch_configure,
    total,
    warmed_rate_set,
)
from training.recipes.tuning import (
    Measured,
    Metrics,
    begin,
    finish,
    first_texts_require,
    learn,
    resume,
)

CHOSEN = "chosen.jsonl"


@dataclass
class BestOfNProgress(TrainingProgress):
    """`examples` are those of the present iteration; `loss` and `tokens` add up since the last
    measurement."""

    PARTS = {**TrainingProgress.PARTS, "examples": Examples.from_state}

    drawn: int = 0
    loss: float = 0.0
    tokens: float = 0.0
    expected: list[list[Metrics]] = field(default_factory=list)
    examples: Examples = field(default_factory=Examples)


@dataclass(frozen=True)
class BestOfNParts(Measured[BestOfNConfig]):
    """What the loop works with; built once."""

    rewarder: Rewarder
    prompts: list[PromptRow]
    prompt_ids: list[list[int]]

    @property
    def steps_per_iteration(self) -> int:
        return self.steps // self.config.iterations


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "best_of_n", BestOfNConfig, argv)


def train(run: Run[BestOfNConfig]) -> None:
    torch_configure()
    check_best_of_n(run.config)
    accelerator = accelerator_open()
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts, BestOfNProgress())
    learn(
        parts,
        progress,
        take_step=lambda: train_step(parts, progress),
        beside=lambda: loss_row(progress),
    )
    finish(parts, progress, results(progress), more=lambda: [chosen_artifact(run)])


# -------------------------------------------------------------------------- build


def build(run: Run[BestOfNConfig], accelerator: Any) -> BestOfNParts:
    """Load, check, and only then hand the policy to the accelerator."""
    config = run.config
    materials = begin(run, accelerator, best_of_n_footprint, BEST_OF_N_FIXES)
    run.emit("preflight", 1, 1, message="Settings, prompts and models fit together.")
    per_iteration = config.epochs * math.ceil(config.prompts_per_iteration / config.batch_size)
    return BestOfNParts.measured_open(
        run,
        accelerator,
        materials,
        meter_batch=config.measure.sampling.batch_size,
        steps=config.iterations * per_iteration,
        own=lambda _: {
            "rewarder": materials.rewarder,
            "prompts": materials.prompts,
            "prompt_ids": materials.prompt_ids,
        },
    )


# --------------------------------------------------------------------------- draw


def draw(parts: BestOfNParts, progress: BestOfNProgress) -> None:
    """Draw and score this iteration's completions, and take the winners as its examples."""
    config, iteration = parts.config, progress.drawn
    order = PromptOrder(len(parts.prompts), seed=parts.run.spec.seed)
    count = config.prompts_per_iteration
    asked = order.take(iteration * count, count)
    mine = own_share(parts.accelerator, range(count))
    found = _draw_share(parts, progress, [(place, asked[place]) for place in mine])
    winners = [BestSample(*winner) for winner in sorted(gather_object(found.winners))]
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


def _draw_share(
    parts: BestOfNParts, progress: BestOfNProgress, asked: list[tuple[int, int]]
) -> DrawnShare:
    config, sampler, seed = parts.config, parts.meter.sampler, parts.run.spec.seed
    rows = [(place, prompt, k) for place, prompt in asked for k in range(config.n)]
    seeds = [derive_seed(seed, "draw", progress.drawn, place, k) for place, _, k in rows]
    prompts = [parts.prompts[prompt].messages for _, prompt, _ in rows]
    with parts.network.whole(), parts.accelerator.autocast():
        with progress.throughput.timed("rollout", sampler.device):
            drawn = sampler.sample([parts.prompt_ids[prompt] for _, prompt, _ in rows], seeds)
        with progress.throughput.timed("score", sampler.device):
            scores = parts.rewarder(prompts, drawn.texts)
    if progress.drawn == 0:
        first_texts_require(parts, drawn)
    progress.throughput.tokens["rollout"] += drawn.written
    progress.throughput.tokens["score"] += drawn.read
    return best_samples_choose(
        asked, drawn, scores, n=config.n, missing_eos_penalty=config.missing_eos_penalty
    )


# -------------------------------------------------------------------------- learn


def train_step(parts: BestOfNParts, progress: BestOfNProgress) -> Metrics:
    """One optimiser step, timed; an iteration's first one draws its winners before."""
    if progress.drawn == progress.step // parts.steps_per_iteration:
        draw(parts, progress)
    with progress.throughput.timed("train", parts.accelerator.device):
        return _train_step(parts, progress)


def _train_step(parts: BestOfNParts, progress: BestOfNProgress) -> Metrics:
    """On winners; the loss is the mean over the completions' tokens."""
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
    progress.throughput.tokens["train"] += sum(len(e.ids) for e in examples)
    return {"loss": loss / tokens, "grad_norm": norm, "learning_rate": rate}


def _batch(parts: BestOfNParts, progress: BestOfNProgress) -> list[Encoded]:
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


def loss_row(progress: BestOfNProgress) -> Metrics:
    """The loss of the steps since the last measurement; empty before the first."""
    row: Metrics = {"loss": progress.loss / progress.tokens} if progress.tokens > 0 else {}
    progress.loss = progress.tokens = 0.0
    return row


def chosen_artifact(run: Run[BestOfNConfig]) -> ArtifactRef:
    """The winners of all iterations, as they were written one after the other."""
    return run.write_file("best_of_n_chosen", CHOSEN, (run.directory / CHOSEN).read_bytes())


def results(progress: BestOfNProgress) -> Mapping[str, Any]:
    return {"iterations_drawn": progress.drawn, "expected_by_n": progress.expected}


if __name__ == "__main__":
    raise SystemExit(main())
