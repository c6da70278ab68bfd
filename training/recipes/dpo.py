"""Direct preference optimisation: train a policy on preferences themselves (DPO, or by `loss` IPO, SimPO, KTO).

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
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.contracts import DpoConfig
from training.core.data.batches import batches_from, length_batches
from training.core.data.fitting import Fitted
from training.core.data.pairs import EncodedPair
from training.core.preference.kto import kto_point
from training.core.preference.losses import exploration_bonus
from training.core.preference.pairs import (
    DpoPairs,
    Judged,
    PairSet,
    judge,
    mismatched,
    pairs_read,
    stranger_ratios,
)
from training.core.preference.tally import SUMS, tally, tally_means
from training.core.run.alarms import loss_check
from training.core.run.checkpoints import seed_everything
from training.core.run.run_directory import Run, recipe_main
from training.core.sharding import equal_passes
from training.core.tuning.footprint import DPO_FIXES, dpo_footprint
from training.core.tuning.materials import Materials
from training.core.tuning.progress import TrainingProgress
from training.core.tuning.settings import check_dpo
from training.recipes.dpo_reference import explored_texts, reference_log_probs
from training.recipes.runtime import (
    Network,
    accelerator_open,
    micro_batches,
    optimizer_step,
    own_share,
    torch_configure,
    total,
    warmed_rate_set,
)
from training.recipes.tuning import Measured, Metrics, begin, finish, learn, resume


@dataclass
class DpoProgress(TrainingProgress):
    """`sums` add up over the pairs trained on since the last measurement, each times its weight."""

    sums: list[float] = field(default_factory=lambda: [0.0] * len(SUMS))


@dataclass(frozen=True)
class DpoParts(Measured[DpoConfig]):
    """What the loop works with; built once."""

    train: PairSet
    validation: PairSet
    fitted: Fitted

    @property
    def pairs_at_once(self) -> int:
        """A pair is two sequences, three with one that the reference wrote."""
        return max(1, self.config.micro_batch_size // (3 if self.config.exploration else 2))


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(train, "dpo", DpoConfig, argv)


def train(run: Run[DpoConfig]) -> None:
    torch_configure()
    check_dpo(run.config)
    accelerator = accelerator_open()
    seed_everything(run.spec.seed)
    parts = build(run, accelerator)
    progress = resume(parts, DpoProgress())
    batches = batches_from(
        parts.train.lengths,
        run.config.batch_size,
        seed=run.spec.seed,
        start=progress.step,
        stop=parts.steps,
    )
    learn(
        parts,
        progress,
        take_step=lambda: train_step(parts, progress, next(batches)),
        beside=lambda: pairs_row(parts, progress),
    )
    finish(parts, progress, results(parts))


# -------------------------------------------------------------------------- build


def build(run: Run[DpoConfig], accelerator: Any) -> DpoParts:
    """Load, check, and only then hand the policy to the accelerator."""
    config = run.config
    materials = begin(run, accelerator, dpo_footprint, DPO_FIXES)
    pairs = pairs_read(run.input("preferences"), materials.policy, config)
    run.warn("texts", pairs.fitted.warning)
    run.emit("preflight", 1, 1, message="Settings, pairs, prompts and models fit together.")
    lengths = [pair.longest for pair in pairs.train]
    per_epoch = len(length_batches(lengths, config.batch_size, seed=0, epoch=0))
    return DpoParts.measured_open(
        run,
        accelerator,
        materials,
        meter_batch=config.micro_batch_size,
        steps=config.epochs * per_epoch,
        own=partial(_pair_sets, run, accelerator, materials, pairs),
    )


def _pair_sets(
    run: Run[DpoConfig],
    accelerator: Any,
    materials: Materials,
    pairs: DpoPairs,
    network: Network[Any],
) -> Mapping[str, Any]:
    """Both sides with the reference's view, in the precision of the policy: equal weights, equal numbers."""

    def with_reference(of: list[EncodedPair], strangers: PairSet | None = None) -> PairSet:
        return PairSet(of, reference_log_probs(run, accelerator, materials, of), strangers)

    def strangers(of: list[EncodedPair]) -> PairSet | None:
        if run.config.loss != "kto":
            return None
        return with_reference(mismatched(of, pairs.train, materials.policy, run.config))

    with network.whole():
        train, validation = (
            with_reference(of, strangers(of)) for of in (pairs.train, pairs.validation)
        )
        if run.config.exploration > 0:
            train = replace(
                train, explored=explored_texts(run, accelerator, materials, pairs.train)
            )
    return {"train": train, "validation": validation, "fitted": pairs.fitted}


# --------------------------------------------------------------------------- step


def train_step(parts: DpoParts, progress: DpoProgress, batch: Sequence[int]) -> Metrics:
    """One optimiser step, timed."""
    with progress.throughput.timed("train", parts.accelerator.device):
        return _train_step(parts, progress, batch)


def _train_step(parts: DpoParts, progress: DpoProgress, batch: Sequence[int]) -> Metrics:
    """The loss is the weighted mean over the pairs of all processes."""
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
    sums, explored = torch.zeros(len(SUMS), dtype=torch.float64), [0.0]
    point = reference_point(parts, parts.network.model, parts.train, mine, counted=counted)

    def share_of(rows: Sequence[int], worked: float) -> Tensor:
        judged = _judge(parts, parts.network.model, parts.train, rows, point)
        weights = judged.weights * (counted * worked)
        sums.add_(tally(judged.losses, judged.ratios, judged.preference, weights))
        loss = judged.losses.loss
        if judged.explored is not None:
            loss = loss + exploration_bonus(judged.explored, config.exploration)
            explored[0] += float((judged.explored.detach() * weights).sum())
        # Gradients are averaged over processes; the loss is already a share of the global mean.
        return (loss * weights).sum().div(weight).mul(accelerator.num_processes)

    norm = optimizer_step(
        accelerator,
        parts.network.model,
        parts.optimizer,
        [partial(share_of, rows) for rows in micro_batches(mine, parts.pairs_at_once)],
        config.max_grad_norm,
    )
    shared = [total(accelerator, value) for value in sums]
    progress.sums = [old + new for old, new in zip(progress.sums, shared, strict=True)]
    progress.throughput.tokens["train"] += sum(2 * pairs[i].longest for i in batch)
    row = tally_means(shared)
    loss_check(row["loss"] or 0.0, step=progress.step)
    row |= {"reference_point": point} if parts.train.strangers else {}
    if parts.train.explored:
        row["explored_log_prob"] = total(accelerator, explored[0]) / weight
    return row | {"grad_norm": norm, "learning_rate": rate}


def _judge(parts: DpoParts, model: Any, side: PairSet, rows: Sequence[int], point: float) -> Judged:
    pad_id, device = parts.policy.pad_id, parts.accelerator.device
    with parts.accelerator.autocast():
        return judge(model, side, rows, parts.config, pad_id=pad_id, device=device, point=point)


def reference_point(
    parts: DpoParts, model: Any, side: PairSet, rows: Sequence[int], *, counted: bool = True
) -> float:
    """KTO's z_0 over these pairs of all processes; 0 where the loss has none."""
    if side.strangers is None:
        return 0.0
    pad_id, device = parts.policy.pad_id, parts.accelerator.device
    chunks = micro_batches(rows, parts.pairs_at_once) if rows else []
    summed = 0.0
    for number in range(equal_passes(model, len(chunks), device=device)):
        with parts.accelerator.autocast():
            found = stranger_ratios(
                model, side, chunks[min(number, len(chunks) - 1)], pad_id=pad_id, device=device
            )
        summed += float(found.sum()) * (counted and number < len(chunks))
    count = total(parts.accelerator, 2.0 * len(rows) * counted)
    return kto_point(total(parts.accelerator, summed), count) if count else 0.0


# ------------------------------------------------------------------------ measure


def pairs_row(parts: DpoParts, progress: DpoProgress) -> Metrics:
    """Loss and implicit rewards of the pairs trained on since the last row, and of the validation pairs."""
    row = tally_means(progress.sums) | validate(parts)
    progress.sums = [0.0] * len(SUMS)
    return row


@torch.inference_mode()
def validate(parts: DpoParts) -> Metrics:
    """Loss and implicit rewards on the validation pairs; empty where there are none."""
    sums = torch.zeros(len(SUMS), dtype=torch.float64)
    mine = own_share(parts.accelerator, range(len(parts.validation.pairs)))
    point = reference_point(parts, parts.policy.model, parts.validation, mine)
    for start in range(0, len(mine), parts.pairs_at_once):
        rows = mine[start : start + parts.pairs_at_once]
        judged = _judge(parts, parts.policy.model, parts.validation, rows, point)
        sums += tally(judged.losses, judged.ratios, judged.preference, judged.weights)
    return tally_means([total(parts.accelerator, value) for value in sums], "validation_")


def results(parts: DpoParts) -> Mapping[str, Any]:
    pairs = parts.train.pairs
    return {
        "pairs": len(pairs),
        "ties": sum(pair.row.tie for pair in pairs),
        "both_bad": sum(pair.row.both_bad for pair in pairs),
        "validation_pairs": len(parts.validation.pairs),
        "cut_texts": sum(pair.cut for pair in pairs),
        **parts.fitted.results(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
