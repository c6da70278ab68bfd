"""Direct preference optimisation: train a policy on preferences themselves (DPO, or IPO by `loss`).

    accelerate launch -m training.recipes.dpo RUN/spec.json [--token N]

Inputs of the run spec:

policy                  where training starts
reference               what the loss and the KL are measured to
preferences             judged pairs; the groups of the held-out reward model are left out
prompts                 JSON lines of prompts, on which the policy is measured
reward_model            optional; scores the measured completions, never optimised
held_out_reward_model   optional; the same, and independent of every pair that is trained on

An event row with phase "dpo" describes the policy after `step` optimiser steps: rewards, KL and texts
as PPO logs them, and the implicit rewards of its pairs beside them. Rows with phase "train" come
between. The last row has phase "final" and describes the policy that is kept. RUN/samples.jsonl shows
some completions with their scores.

Written: the artifact "policy" (Hugging Face layout, ready to be served), "dpo_samples", and "adapter"
where one was trained (the policy has it merged in). A run that was killed goes on from its last
checkpoint and on a CPU ends with the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from accelerate.utils import gather_object
from torch import Tensor

from training.contracts import ArtifactRef, DpoConfig
from training.core.alarms import Alarm, AlarmRaised
from training.core.batches import batches_from, length_batches
from training.core.checkpoints import CheckpointStore, seed_everything
from training.core.data import preferences_read, prompts_read
from training.core.dpo.log_ratios import LogProbs, pair_log_probs, pair_log_probs_all
from training.core.dpo.losses import PairLosses, pair_losses
from training.core.dpo.tally import SUMS, tally, tally_means
from training.core.errors import UserError
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
from training.core.ppo.randomness import derive_seed
from training.core.ppo.samples import SampleLog
from training.core.preference_data import Pair, pair_encode, pairs_divide
from training.core.reference_policy import reference_open
from training.core.run_directory import Run, recipe_main
from training.core.tuning_settings import check_dpo
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


@dataclass
class Progress:
    """Everything but weights in training that a resumed run needs; plain values and tensors only.

    `sums` add up over the pairs trained on since the last measurement, each times its weight.
    """

    step: int = 0
    stopped_by: str = "steps"
    grad_norm: float = 0.0
    sums: list[float] = field(default_factory=lambda: [0.0] * len(SUMS))
    pace: Pace = field(default_factory=lambda: Pace.start(PHASES))
    kept: KeptPolicy = field(default_factory=KeptPolicy)

    def to_state(self) -> dict[str, Any]:
        return vars(self) | {"pace": self.pace.to_state(), "kept": self.kept.to_state()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        inner = {"pace": Pace(**state["pace"]), "kept": KeptPolicy.from_state(state["kept"])}
        return cls(**(state | inner))


@dataclass(frozen=True)
class Side:
    """Pairs with what the reference gives their completions, computed once."""

    pairs: list[Pair]
    reference: LogProbs


@dataclass(frozen=True)
class Parts:
    """What the loop works with; built once."""

    run: Run[DpoConfig]
    accelerator: Any
    policy: LoadedModel
    model: Any
    optimizer: Any
    train: Side
    validation: Side
    meter: PolicyMeter
    store: CheckpointStore
    samples: SampleLog

    @property
    def config(self) -> DpoConfig:
        return self.run.config

    @property
    def limits(self) -> Limits:
        measure = self.config.measure
        return Limits(measure.kl_budget, measure.held_out_patience, measure.alarms)

    @property
    def lengths(self) -> list[int]:
        return [pair.longest for pair in self.train.pairs]

    @property
    def steps(self) -> int:
        size = self.config.batch_size
        return self.config.epochs * len(length_batches(self.lengths, size, seed=0, epoch=0))


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "dpo", DpoConfig, argv)


def train(run: Run[DpoConfig]) -> None:
    torch_configure()
    check_dpo(run.config)
    accelerator = accelerator_open()
    unsharded_require(accelerator, "DPO learns on whole weights", fix="take PPO")
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts)
    learn(parts, progress)
    finish(parts, progress)


# -------------------------------------------------------------------------- build


def build(run: Run[DpoConfig], accelerator: Any) -> Parts:
    """Load, check, and only then hand the policy to the accelerator."""
    config, device = run.config, accelerator.device
    policy = policy_load_path(run.input("policy"))
    preflight.check_tokens(policy)
    policy.model.to(device)
    policy.model.eval()
    reference = reference_open(run, policy, config.adapter, device=device)
    meter = _build_meter(run, accelerator, policy, reference)
    train, validation = _read_pairs(run, policy)
    run.emit("preflight", 1, 1, message="Settings, pairs, prompts and models fit together.")
    sides = [
        Side(p, _reference(run, accelerator, policy, reference, p)) for p in (train, validation)
    ]
    adapter_add(policy.model, config.adapter, seed=run.spec.seed)
    optimizer = adamw(policy.model, config.learning_rate, weight_decay=0.0)
    model, optimizer = accelerator.prepare(policy.model, optimizer)
    return Parts(
        run=run,
        accelerator=accelerator,
        policy=policy,
        model=model,
        optimizer=optimizer,
        train=sides[0],
        validation=sides[1],
        meter=meter,
        store=CheckpointStore(run.directory / "checkpoints", guard=run.guard, main=run.main),
        samples=SampleLog(run, "dpo_samples"),
    )


def _build_meter(
    run: Run[DpoConfig], accelerator: Any, policy: LoadedModel, reference: Any
) -> PolicyMeter:
    config = run.config
    prompts = prompts_read(run.input("prompts"))
    prompt_ids = preflight.encode_prompts(policy, prompts, config.measure)
    preflight.check_log_probs(policy, prompt_ids, config.measure)
    preflight.check_patience(run, config.measure.held_out_patience)
    rewarder = None
    if "reward_model" in run.inputs:
        rewarder = rewarder_for(
            run,
            combination=config.reward_combination,
            variance_weight=config.variance_weight,
            device=accelerator.device,
        )
        preflight.check_rewarder(rewarder, prompts)
    return meter_open(
        policy,
        reference,
        rewarder,
        prompts,
        prompt_ids,
        config=config.measure,
        seed=run.spec.seed,
        batch_size=config.micro_batch_size,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
        device=accelerator.device,
        reduce=lambda value: accelerator.reduce(value, reduction="sum"),
    )


def _read_pairs(run: Run[DpoConfig], policy: LoadedModel) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and pairs to watch: neither from a group of the held-out reward model."""
    config = run.config
    rows = preferences_read(run.input("preferences"))
    pairs = [pair_encode(policy.tokenizer, row, config.max_length) for row in rows]
    context = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and config.max_length > context:
        raise UserError(
            f"max_length is {config.max_length}, but the policy reads at most {context} tokens."
        )
    if config.held_out_share == 0:
        return (
            [p for p in pairs if p.row.split == "train" and p.row.weight > 0],
            [p for p in pairs if p.row.split == "validation"],
        )
    division = pairs_divide(pairs, config.held_out_share)
    return [p for p in division.train if p.row.weight > 0], division.validation


def _reference(
    run: Run[DpoConfig], accelerator: Any, policy: LoadedModel, reference: Any, pairs: list[Pair]
) -> LogProbs:
    """What the reference gives every pair; each process does its share of the work."""
    mine = own_share(accelerator, range(len(pairs)))
    found = pair_log_probs_all(
        reference,
        [pairs[i] for i in mine],
        pad_id=policy.pad_id,
        temperature=run.config.measure.sampling.temperature,
        batch_size=2 * run.config.micro_batch_size,
        device=accelerator.device,
    )
    rows = gather_object(list(zip(mine, found.first.tolist(), found.second.tolist(), strict=True)))
    first, second = torch.zeros(len(pairs)), torch.zeros(len(pairs))
    for i, of_first, of_second in rows:
        first[i], second[i] = of_first, of_second
    return LogProbs(first, second)


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
    """Measure at the points, learn in between; the last point only measures."""
    config, run, steps = parts.config, parts.run, parts.steps
    points = measure_points(steps, config.measure.points)
    batches = batches_from(
        parts.lengths, config.batch_size, seed=run.spec.seed, start=progress.step, stop=steps
    )
    for step in range(progress.step, steps + 1):
        ending = measure(parts, progress) if step in points else ""
        if ending or step == steps:
            progress.stopped_by = ending or progress.stopped_by
            break
        with progress.pace.timed("train", parts.accelerator.device):
            row = train_step(parts, progress, next(batches))
        progress.step = step + 1
        if progress.step % config.log_every == 0:
            run.emit("train", progress.step, steps, row)
        if progress.step % config.checkpoint_every == 0:
            save(parts, progress)
        cancel_check(run, parts.accelerator, lambda: save(parts, progress))
    progress.kept.report(run, steps)
    message = f"Stopped by {progress.stopped_by}."
    run.emit("final", 1, 1, progress.kept.row, message=message)


def train_step(parts: Parts, progress: Progress, batch: Sequence[int]) -> Metrics:
    """One optimiser step; the loss is the weighted mean over the pairs of all processes."""
    config, accelerator = parts.config, parts.accelerator
    factor = linear_schedule(
        progress.step, steps=parts.steps, warmup=math.ceil(config.warmup_share * parts.steps)
    )
    learning_rate_set(parts.optimizer, config.learning_rate * factor)
    weight = sum(parts.train.pairs[i].row.weight for i in batch)
    mine = sorted(own_share(accelerator, batch), key=lambda i: parts.train.pairs[i].longest)
    size = max(1, config.micro_batch_size // 2)
    chunks = [mine[i : i + size] for i in range(0, len(mine), size)] or [[]]
    sums = torch.zeros(len(SUMS), dtype=torch.float64)
    parts.optimizer.zero_grad()
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        # Processes meet once per step, at the last chunk, however many each one has.
        with nullcontext() if last else accelerator.no_sync(parts.model):
            sums += _micro_batch(parts, chunk or list(batch[:1]), weight, counted=bool(chunk))
    progress.grad_norm = float(
        accelerator.clip_grad_norm_(trainable_parameters(parts.policy.model), config.max_grad_norm)
    )
    parts.optimizer.step()
    shared = [total(accelerator, value) for value in sums]
    progress.sums = [old + new for old, new in zip(progress.sums, shared, strict=True)]
    progress.pace.tokens["train"] += sum(2 * parts.train.pairs[i].longest for i in batch)
    row = tally_means(shared) | {"grad_norm": progress.grad_norm}
    if not math.isfinite(row["loss"] or 0.0):
        raise AlarmRaised(
            Alarm("nan", f"The loss is {row['loss']} at step {progress.step}: lower learning_rate.")
        )
    return row | {"learning_rate": config.learning_rate * factor}


def _micro_batch(parts: Parts, chunk: list[int], weight: float, *, counted: bool) -> Tensor:
    """Add the gradient of some pairs, and return their part of `SUMS`; nothing where not `counted`."""
    found, ratios, preference, weights = _losses(parts, parts.model, parts.train, chunk)
    weights = weights * counted
    share = (found.loss * weights).sum() / weight
    # Gradients are averaged over processes; the loss is already a share of the global mean.
    parts.accelerator.backward(share * parts.accelerator.num_processes)
    return tally(found, ratios, preference, weights)


class Judged(NamedTuple):
    """Some pairs under the policy; the last two are their labels and weights, both (B,)."""

    losses: PairLosses
    ratios: LogProbs
    preference: Tensor
    weights: Tensor


def _losses(parts: Parts, model: Any, side: Side, rows: list[int]) -> Judged:
    config, device = parts.config, parts.accelerator.device
    pairs = [side.pairs[i] for i in rows]
    own = pair_log_probs(
        model,
        pairs,
        pad_id=parts.policy.pad_id,
        temperature=config.measure.sampling.temperature,
        device=device,
    )
    ratios = LogProbs(
        own.first - side.reference.first[rows].to(device),
        own.second - side.reference.second[rows].to(device),
    )
    weights = torch.tensor([pair.row.weight for pair in pairs], device=device)
    preference = torch.tensor([pair.row.preference for pair in pairs], device=device)
    found = pair_losses(
        *ratios,
        preference,
        beta=config.beta,
        kind=config.loss,
        label_smoothing=config.label_smoothing,
    )
    return Judged(found, ratios, preference, weights)


# ------------------------------------------------------------------------ measure


def measure(parts: Parts, progress: Progress) -> str:
    """One row on the present policy; returns why the run ends here, or ""."""
    seed_everything(derive_seed(parts.run.spec.seed, "measure", progress.step))
    with parts.accelerator.autocast():
        rollout = parts.meter.measure(progress.pace)
    row = rollout.metrics | tally_means(progress.sums) | validate(parts)
    progress.sums = [0.0] * len(SUMS)
    weights = trainable_parameters(parts.policy.model)
    ending = progress.kept.note(row, at=progress.step, weights=weights, limits=parts.limits)
    if ending != "kl_budget":
        parts.samples.add(progress.step, rollout.prompts, rollout.episodes, rollout.scores)
    seconds = {f"seconds_{phase}": spent for phase, spent in progress.pace.seconds.items()}
    parts.run.emit("dpo", progress.step, parts.steps, row | seconds)
    return ending


@torch.inference_mode()
def validate(parts: Parts) -> Metrics:
    """Loss and implicit rewards on the validation pairs; empty where there are none."""
    sums = torch.zeros(len(SUMS), dtype=torch.float64)
    mine = own_share(parts.accelerator, range(len(parts.validation.pairs)))
    size = max(1, parts.config.micro_batch_size // 2)
    for start in range(0, len(mine), size):
        rows = mine[start : start + size]
        sums += tally(*_losses(parts, parts.policy.model, parts.validation, rows))
    return tally_means([total(parts.accelerator, value) for value in sums], "validation_")


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
        artifacts.append(parts.samples.artifact())
    run.finish(artifacts, results(parts, progress, count))
    parts.store.clear()


def results(parts: Parts, progress: Progress, trained: int) -> Mapping[str, Any]:
    pairs = parts.train.pairs
    return {
        "final": progress.kept.row,
        "updates": progress.kept.at,
        "updates_run": progress.step,
        "stopped_by": progress.stopped_by,
        "alarm": progress.kept.alarm or None,
        "pairs": len(pairs),
        "ties": sum(pair.row.tie for pair in pairs),
        "validation_pairs": len(parts.validation.pairs),
        "cut_texts": sum(pair.cut for pair in pairs),
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
