"""Supervised fine-tuning of a policy on demonstrations, in phases.

    accelerate launch -m training.recipes.sft RUN/spec.json [--token N]

Inputs: what `SftConfig.phases[*].data` name (demonstrations); optionally `validation`
(demonstrations) and the input that `SftConfig.model` names. Artifacts: `policy`, and `adapter` where
one was trained (the policy has it merged in). The budget is steps, not seconds: the result says how
many were taken.
"""

from __future__ import annotations

import math
import operator
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel

from annotation.rows import DemonstrationRow
from training.contracts import AdapterConfig, SftConfig, SftPhase
from training.core.data.batches import batches_from, sorted_batches
from training.core.data.conversations import Encoded, demonstrations_encode
from training.core.data.fitting import Fitted
from training.core.data.json_lines import demonstrations_read, texts_of
from training.core.model.context import length_check
from training.core.model.loading import LoadedModel, policy_load
from training.core.model.lora import adapter_add, trainable_parameters
from training.core.model.memory_estimate import Job, estimate, memory_report, shape_of
from training.core.model.policy_artifact import policy_artifacts_write
from training.core.model.supervised import assistant_loss
from training.core.rollout.model_checks import checks_pass, policy_checks, probe_config
from training.core.run.alarms import loss_check
from training.core.run.checkpoints import CheckpointStore, seed_everything
from training.core.run.errors import UserError
from training.core.run.run_directory import Run, recipe_main
from training.recipes.runtime import (
    Network,
    accelerator_open,
    activation_bytes,
    adamw,
    cancel_check,
    learning_rate_set,
    linear_schedule,
    micro_batches,
    network_open,
    optimizer_step,
    own_share,
    shards,
    total,
    training_state,
    training_state_restore,
)


@torch.inference_mode()
def mean_loss(loaded: LoadedModel, data: Sequence[Encoded]) -> float:
    """Nats per assistant's token over a data set."""
    totals, tokens = 0.0, 0
    for batch in sorted_batches([len(e.ids) for e in data], 64):
        loss = assistant_loss(loaded.model, [data[i] for i in batch], loaded.pad_id)
        totals, tokens = totals + float(loss.total), tokens + loss.tokens
    return totals / max(1, tokens)


# ---------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Data:
    phases: list[list[Encoded]]
    validation: list[Encoded]
    fitted: Fitted

    @property
    def cut(self) -> int:
        return sum(e.cut for phase in self.phases for e in phase)


Rows = dict[str, list[DemonstrationRow]]


def _read(run: Run[SftConfig]) -> Rows:
    """The demonstrations of every phase by the name of their input."""
    names = sorted({phase.data for phase in run.config.phases})
    return {name: demonstrations_read(run.input(name)) for name in names}


def _data(run: Run[SftConfig], loaded: LoadedModel, rows: Rows) -> Data:
    limit, truncation = run.config.max_length, run.config.truncation
    if "validation" in run.inputs:
        rows = rows | {"validation": demonstrations_read(run.input("validation"))}
    found = {
        name: demonstrations_encode(
            loaded.tokenizer, demonstrations, name, max_length=limit, truncation=truncation
        )
        for name, demonstrations in rows.items()
    }
    fitted = reduce(operator.add, (each.fitted for each in found.values()))
    run.warn("texts", fitted.warning)
    validation = found["validation"].encoded if "validation" in run.inputs else []
    return Data([found[phase.data].encoded for phase in run.config.phases], validation, fitted)


def _check(config: SftConfig, loaded: LoadedModel) -> None:
    if not config.phases:
        raise UserError("SftConfig.phases is empty: name at least one phase of training.")
    if config.adapter.kind != "none" and config.model.kind == "fresh":
        raise UserError("An adapter stands beside trained weights; a fresh model has none yet.")
    for i, phase in enumerate(config.phases):
        if phase.steps < 1 or phase.batch_size < 1 or phase.learning_rate <= 0:
            raise UserError(f"phases[{i}]: steps, batch_size and learning_rate must be positive.")
    if config.micro_batch_size < 0:
        raise UserError("micro_batch_size must be 0 (the whole batch) or more.")
    length_check(config.max_length, loaded.model)


def _speaks_check(config: SftConfig, loaded: LoadedModel, data: Data) -> None:
    """What every policy must show, on the beginnings of some demonstrations."""
    probe = probe_config(max_new_tokens=max(1, min(8, config.max_length - 1)))
    room = config.max_length - probe.sampling.max_new_tokens
    begun = [list(encoded.ids[:room]) for encoded in data.phases[0][:4]]
    checks_pass(policy_checks(loaded, begun, probe, AdapterConfig()))


# ------------------------------------------------------------------------ training


@dataclass
class Trainer:
    """The state of the training loop; `phase` and `step` say what comes next."""

    run: Run[SftConfig]
    accelerator: Accelerator
    loaded: LoadedModel
    network: Network[PreTrainedModel]
    store: CheckpointStore
    phase: int = 0
    step: int = 0
    optimizer: Optimizer | None = None

    @property
    def done(self) -> int:
        return sum(p.steps for p in self.run.config.phases[: self.phase]) + self.step

    def begin_phase(self) -> None:
        config, phase = self.run.config, self.run.config.phases[self.phase]
        optimizer = adamw(self.network.inner, phase.learning_rate, config.weight_decay)
        self.optimizer = self.accelerator.prepare(optimizer)

    def save(self) -> None:
        assert self.optimizer is not None
        state = training_state(self.network, self.optimizer)
        self.store.save(self.done, {**state, "phase": self.phase, "step": self.step})

    def restore(self) -> None:
        checkpoint = self.store.load()
        if checkpoint is None:
            self.begin_phase()
            return
        self.phase, self.step = checkpoint.state["phase"], checkpoint.state["step"]
        self.begin_phase()
        assert self.optimizer is not None
        training_state_restore(self.accelerator, self.network, self.optimizer, checkpoint.state)


def _train_step(trainer: Trainer, phase: SftPhase, batch: Sequence[Encoded]) -> dict[str, float]:
    """One step; the loss is the mean over the trained tokens of all processes."""
    accelerator, optimizer = trainer.accelerator, trainer.optimizer
    config = trainer.run.config
    assert optimizer is not None
    factor = linear_schedule(trainer.step, steps=phase.steps, warmup=phase.warmup_steps, floor=0.1)
    learning_rate_set(optimizer, phase.learning_rate * factor)
    share = own_share(accelerator, range(len(batch)))
    mine = [batch[i] for i in share] or [batch[0]]
    weight = 1.0 if share else 0.0
    tokens = max(1.0, total(accelerator, weight * sum(sum(e.trained[1:]) for e in mine)))
    scale, summed = weight * accelerator.num_processes / tokens, list[Tensor]()

    def share_of(rows: Sequence[Encoded], counted: float) -> Tensor:
        loss = assistant_loss(trainer.network.model, rows, trainer.loaded.pad_id).total * counted
        summed.append(loss.detach())
        return loss.mul(scale)

    norm = optimizer_step(
        accelerator,
        trainer.network.model,
        optimizer,
        [partial(share_of, rows) for rows in micro_batches(mine, config.micro_batch_size)],
        config.max_grad_norm,
    )
    mean = total(accelerator, weight * torch.stack(summed).sum()) / tokens
    loss_check(mean, step=trainer.step)
    rate = phase.learning_rate * factor
    return {"loss": mean, "grad_norm": norm, "learning_rate": rate, "tokens": tokens}


def _train_phase(trainer: Trainer, data: Sequence[Encoded]) -> float:
    """Run the current phase to its end; returns the last loss."""
    config, number = trainer.run.config, trainer.phase
    phase = config.phases[number]
    name = "train" if len(config.phases) == 1 else f"train {number + 1}/{len(config.phases)}"
    batches = batches_from(
        [len(e.ids) for e in data],
        phase.batch_size,
        seed=trainer.run.spec.seed + number,
        start=trainer.step,
        stop=phase.steps,
    )
    speed, metrics = _speedometer(), dict[str, float]()
    for batch in batches:
        metrics = _train_step(trainer, phase, [data[i] for i in batch])
        trainer.step += 1
        metrics["tokens_per_second"] = speed(metrics.pop("tokens"))
        if trainer.step % config.log_every == 0 or trainer.step == phase.steps:
            trainer.run.emit(name, trainer.step, phase.steps, metrics)
            cancel_check(trainer.run, trainer.accelerator, trainer.save)
        if trainer.step % config.checkpoint_every == 0 and trainer.step < phase.steps:
            trainer.save()
    return metrics.get("loss", math.nan)


def _speedometer() -> Callable[[float], float]:
    """Trained tokens per second since the start, fed with the tokens of each step."""
    began, seen = time.monotonic(), 0.0

    def rate(tokens: float) -> float:
        nonlocal seen
        seen += tokens
        return seen / max(1e-9, time.monotonic() - began)

    return rate


def _validate(trainer: Trainer, data: Data) -> float | None:
    if not data.validation:
        return None
    with trainer.network.whole():
        if not trainer.run.main:
            return None
        with trainer.accelerator.autocast():
            loss = mean_loss(trainer.loaded, data.validation)
    metrics = {"validation_loss": loss, "validation_perplexity": math.exp(min(loss, 50.0))}
    phases = len(trainer.run.config.phases)
    trainer.run.emit("validate", trainer.phase + 1, phases, metrics)
    return loss


# ---------------------------------------------------------------------------- main


def _job(config: SftConfig, accelerator: Accelerator) -> Job:
    """The dearest step: the largest batch of the longest conversations."""
    rows = -(-max(phase.batch_size for phase in config.phases) // accelerator.num_processes)
    return Job(
        rows=min(rows, config.micro_batch_size or rows),
        length=config.max_length,
        logits=config.max_length,
        recompute=config.gradient_checkpointing,
        number=activation_bytes(accelerator),
    )


def main(run: Run[SftConfig]) -> None:
    accelerator, config, seed = accelerator_open(), run.config, run.spec.seed
    seed_everything(seed)
    rows = _read(run)
    texts = (text for name in rows for text in texts_of(rows[name]))
    loaded = policy_load(config.model, run.inputs, texts=texts, seed=seed)
    _check(config, loaded)
    shape = shape_of(loaded.model, speaks=True, adapter=config.adapter)
    found = estimate([shape], [], _job(config, accelerator), shards=shards(accelerator))
    memory_report(run, found, device=accelerator.device)
    adapter_add(loaded.model, config.adapter, seed=seed)
    data = _data(run, loaded, rows)
    loaded.model.to(accelerator.device)
    _speaks_check(config, loaded, data)
    store = CheckpointStore(run.directory / "checkpoints", run.guard, main=run.main)
    network = network_open(accelerator, loaded.model, recompute=config.gradient_checkpointing)
    trainer = Trainer(run, accelerator, loaded, network, store)
    trainer.restore()
    losses: dict[str, float | None] = {}
    while trainer.phase < len(config.phases):
        losses["train_loss"] = _train_phase(trainer, data.phases[trainer.phase])
        losses["validation_loss"] = _validate(trainer, data)
        trainer.phase, trainer.step = trainer.phase + 1, 0
        if trainer.phase < len(config.phases):
            trainer.begin_phase()
            trainer.save()
    _finish(trainer, data, losses)


def _finish(trainer: Trainer, data: Data, losses: dict[str, float | None]) -> None:
    run, model = trainer.run, trainer.loaded.model
    trained = sum(p.numel() for p in trainable_parameters(model))
    with trainer.network.saved():
        if not run.main:
            run.finish([], {})
            return
        model.cpu()
        artifacts = policy_artifacts_write(run, trainer.loaded, None)
    results = {
        "steps": trainer.done,
        "steps_by_phase": [phase.steps for phase in run.config.phases],
        "examples_by_phase": [len(phase) for phase in data.phases],
        "validation_examples": len(data.validation),
        "cut_texts": data.cut,
        **data.fitted.results(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": trained,
        "vocabulary": len(trainer.loaded.tokenizer),
        "refused_checkpoints": trainer.store.refused,
        **losses,
    }
    run.finish(artifacts, results)
    trainer.store.clear()


if __name__ == "__main__":
    sys.exit(recipe_main(main, "sft", SftConfig))
