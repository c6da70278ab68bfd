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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from training.contracts import ArtifactRef, DpoConfig
from training.core.alarms import loss_check
from training.core.batches import batches_from, length_batches
from training.core.checkpoints import CheckpointStore, seed_everything
from training.core.data import prompts_read
from training.core.dpo.log_ratios import LogProbs, pair_log_probs_all
from training.core.dpo.pairs import Judged, Side, judge, pairs_read
from training.core.dpo.tally import SUMS, tally, tally_means
from training.core.kept_policy import KeptPolicy, Limits
from training.core.lora import adapter_add, trainable_parameters
from training.core.memory_estimate import memory_report
from training.core.models import LoadedModel, policy_load_path
from training.core.policy_artifact import policy_artifacts_write
from training.core.policy_meter import PHASES, PolicyMeter, measure_points, meter_open
from training.core.policy_state import policy_state, policy_state_restore
from training.core.ppo import preflight
from training.core.ppo.pace import Pace
from training.core.ppo.randomness import derive_seed
from training.core.ppo.rewarding import Rewarder, rewarder_open
from training.core.ppo.samples import SampleLog
from training.core.preference_data import Pair
from training.core.reference_policy import reference_cast, reference_open
from training.core.run_directory import Run, recipe_main
from training.core.tuning_footprint import DPO_FIXES, dpo_footprint
from training.core.tuning_settings import check_dpo
from training.recipes.runtime import (
    Network,
    accelerator_open,
    adamw,
    cancel_check,
    footprint_sizes,
    micro_batches,
    network_open,
    optimizer_step,
    own_share,
    torch_configure,
    total,
    warmed_rate_set,
)

Metrics = dict[str, float | None]


@dataclass
class Progress:
    """Everything but weights in training that a resumed run needs; plain values and tensors only.

    `sums` add up over the pairs trained on since the last measurement, each times its weight.
    """

    step: int = 0
    stopped_by: str = "steps"
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
class Parts:
    """What the loop works with; built once."""

    run: Run[DpoConfig]
    accelerator: Any
    policy: LoadedModel
    network: Network[Any]
    optimizer: Any
    train: Side
    validation: Side
    meter: PolicyMeter
    steps: int
    store: CheckpointStore
    samples: SampleLog

    @property
    def config(self) -> DpoConfig:
        return self.run.config

    @property
    def pairs_at_once(self) -> int:
        """A pair is two sequences."""
        return max(1, self.config.micro_batch_size // 2)


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "dpo", DpoConfig, argv)


def train(run: Run[DpoConfig]) -> None:
    torch_configure()
    check_dpo(run.config)
    accelerator = accelerator_open()
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts)
    learn(parts, progress)
    finish(parts, progress)


# -------------------------------------------------------------------------- build


def build(run: Run[DpoConfig], accelerator: Any) -> Parts:
    """Load, check, and only then hand the policy to the accelerator."""
    config, device = run.config, accelerator.device
    found = dpo_footprint(run, **footprint_sizes(accelerator))
    memory_report(run, found, device=device, fixes=DPO_FIXES)
    policy = policy_load_path(run.input("policy"))
    preflight.check_tokens(policy)
    policy.model.to(device)
    policy.model.eval()
    reference = reference_open(run, policy, config.adapter, device=device)
    prompts = prompts_read(run.input("prompts"))
    prompt_ids = preflight.encode_prompts(policy, prompts, config.measure)
    preflight.check_log_probs(policy, prompt_ids, config.measure)
    preflight.check_patience(run, config.measure.held_out_patience)
    rewarder = _rewarder(run, device) if "reward_model" in run.inputs else None
    if rewarder is not None:
        preflight.check_rewarder(rewarder, prompts)
    meter = meter_open(
        policy,
        reference,
        rewarder,
        prompts,
        prompt_ids,
        config=config.measure,
        seed=run.spec.seed,
        batch_size=config.micro_batch_size,
        accelerator=accelerator,
    )
    pairs = pairs_read(run.input("preferences"), policy, config)
    run.emit("preflight", 1, 1, message="Settings, pairs, prompts and models fit together.")
    train, validation = (
        Side(of, _reference(run, accelerator, policy, reference, of)) for of in pairs
    )
    per_epoch = len(length_batches(train.lengths, config.batch_size, seed=0, epoch=0))
    adapter_add(policy.model, config.adapter, seed=run.spec.seed)
    network = network_open(accelerator, policy.model)
    reference_cast(reference, network.dtype)
    return Parts(
        run=run,
        accelerator=accelerator,
        policy=policy,
        network=network,
        optimizer=accelerator.prepare(adamw(network.inner, config.learning_rate, weight_decay=0.0)),
        train=train,
        validation=validation,
        meter=meter,
        steps=config.epochs * per_epoch,
        store=CheckpointStore(run.directory / "checkpoints", guard=run.guard, main=run.main),
        samples=SampleLog(run, "dpo_samples"),
    )


def _rewarder(run: Run[DpoConfig], device: torch.device) -> Rewarder:
    return rewarder_open(
        run,
        combination=run.config.reward_combination,
        variance_weight=run.config.variance_weight,
        device=device,
    )


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
    """Measure at the points, learn in between; the last point only measures."""
    config, run, steps = parts.config, parts.run, parts.steps
    points = measure_points(steps, config.measure.points)
    batches = batches_from(
        parts.train.lengths,
        config.batch_size,
        seed=run.spec.seed,
        start=progress.step,
        stop=steps,
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
    progress.kept.report(run, steps, stopped_by=progress.stopped_by)


def train_step(parts: Parts, progress: Progress, batch: Sequence[int]) -> Metrics:
    """One optimiser step; the loss is the weighted mean over the pairs of all processes."""
    config, accelerator, pairs = parts.config, parts.accelerator, parts.train.pairs
    rate = warmed_rate_set(
        parts.optimizer,
        config.learning_rate,
        step=progress.step,
        steps=parts.steps,
        warmup_share=config.warmup_share,
    )
    weight = sum(pairs[i].row.weight for i in batch)
    share = sorted(own_share(accelerator, batch), key=lambda i: pairs[i].longest)
    mine, counted = share or list(batch[:1]), bool(share)
    sums = torch.zeros(len(SUMS), dtype=torch.float64)

    def share_of(rows: Sequence[int], worked: float) -> Tensor:
        judged = _judge(parts, parts.network.model, parts.train, rows)
        weights = judged.weights * (counted * worked)
        sums.add_(tally(judged.losses, judged.ratios, judged.preference, weights))
        # Gradients are averaged over processes; the loss is already a share of the global mean.
        return (judged.losses.loss * weights).sum().div(weight).mul(accelerator.num_processes)

    norm = optimizer_step(
        accelerator,
        parts.network.model,
        parts.optimizer,
        [partial(share_of, rows) for rows in micro_batches(mine, parts.pairs_at_once)],
        config.max_grad_norm,
    )
    shared = [total(accelerator, value) for value in sums]
    progress.sums = [old + new for old, new in zip(progress.sums, shared, strict=True)]
    progress.pace.tokens["train"] += sum(2 * pairs[i].longest for i in batch)
    row = tally_means(shared)
    loss_check(row["loss"] or 0.0, step=progress.step)
    return row | {"grad_norm": norm, "learning_rate": rate}


def _judge(parts: Parts, model: Any, side: Side, rows: Sequence[int]) -> Judged:
    pad_id, device = parts.policy.pad_id, parts.accelerator.device
    return judge(model, side, rows, parts.config, pad_id=pad_id, device=device)


# ------------------------------------------------------------------------ measure


def measure(parts: Parts, progress: Progress) -> str:
    """One row on the present policy; returns why the run ends here, or ""."""
    seed_everything(derive_seed(parts.run.spec.seed, "measure", progress.step))
    with parts.network.whole():
        with parts.accelerator.autocast():
            rollout = parts.meter.measure(progress.pace)
        row = rollout.metrics | tally_means(progress.sums) | validate(parts)
    progress.sums = [0.0] * len(SUMS)
    weights, limits = trainable_parameters(parts.network.inner), Limits.of(parts.config.measure)
    ending = progress.kept.note(row, at=progress.step, weights=weights, limits=limits)
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
    for start in range(0, len(mine), parts.pairs_at_once):
        rows = mine[start : start + parts.pairs_at_once]
        sums += tally(*_judge(parts, parts.policy.model, parts.validation, rows))
    return tally_means([total(parts.accelerator, value) for value in sums], "validation_")


# ------------------------------------------------------------------------- finish


def finish(parts: Parts, progress: Progress) -> None:
    run = parts.run
    trained = trainable_parameters(parts.network.inner)
    count = sum(parameter.numel() for parameter in trained)
    progress.kept.restore(trained)
    parts.accelerator.wait_for_everyone()
    artifacts: list[ArtifactRef] = []
    with parts.network.saved():
        if run.main:
            artifacts = policy_artifacts_write(run, parts.policy, parts.config.measure.sampling)
            artifacts.append(parts.samples.artifact())
    run.finish(artifacts, results(parts, progress, count))
    parts.store.clear()


def results(parts: Parts, progress: Progress, trained: int) -> Mapping[str, Any]:
    pairs = parts.train.pairs
    return {
        **progress.kept.results(),
        **progress.pace.results(),
        "updates_run": progress.step,
        "stopped_by": progress.stopped_by,
        "pairs": len(pairs),
        "ties": sum(pair.row.tie for pair in pairs),
        "validation_pairs": len(parts.validation.pairs),
        "cut_texts": sum(pair.cut for pair in pairs),
        "sampling": parts.config.measure.sampling.to_json(),
        "trained_parameters": trained,
        "checkpoints_refused": list(parts.store.refused),
    }


if __name__ == "__main__":
    raise SystemExit(main())
