"""Bradley-Terry reward models: an ensemble of members, and the held-out model that guards it.

    accelerate launch -m training.recipes.reward_model RUN/spec.json [--token N]

Inputs: `preferences`; the input that `RewardModelConfig.backbone` names; optionally
`reference_samples` (completions) with `prompts`, on which scores are put on a common scale.
Artifacts: `reward_model` and `held_out_reward_model` (see `training.core.scoring`). The results hold
the accuracy of each model on the test split beside the length-only baseline of the very same pairs.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedTokenizerBase

from training.contracts import ArtifactKind, ArtifactRef, RewardModelConfig
from training.core.artifacts import directory_write
from training.core.batches import batches_from, length_batches
from training.core.checkpoints import CheckpointStore, seed_everything
from training.core.data import preferences_read, texts_of
from training.core.errors import UserError
from training.core.models import (
    LoadedModel,
    classifier_load,
    classifier_load_path,
    model_save,
)
from training.core.preference_data import (
    Division,
    Pair,
    pair_encode,
    pair_tensors,
    pairs_divide,
)
from training.core.reward_measurement import (
    length_baseline,
    model_results,
    pair_differences,
    reference_read,
    temperature_of,
)
from training.core.rewards import pair_loss, score_rows
from training.core.run_directory import Run, recipe_main
from training.core.scoring import SETTINGS, EnsembleSettings, MemberSettings, member_scores
from training.digests import DigestError, artifact_verify
from training.recipes.runtime import (
    accelerator_open,
    adamw,
    cancel_check,
    learning_rate_set,
    linear_schedule,
    optimizer_step,
    own_share,
    total,
    training_state,
    training_state_restore,
)

HELD_OUT = "held_out"


@dataclass(frozen=True)
class Member:
    """One model to train: its name, the seed of its head and data order, and its pairs."""

    name: str
    seed: int
    pairs: list[Pair]


def members_planned(run: Run[RewardModelConfig], division: Division) -> list[Member]:
    base = run.spec.seed * 1000
    members = [Member(f"member_{i}", base + i, division.train) for i in range(run.config.members)]
    return [*members, Member(HELD_OUT, base + 999, division.held_out)]


def _check(config: RewardModelConfig) -> None:
    if config.members < 1 or config.epochs < 1 or config.batch_size < 1:
        raise UserError("RewardModelConfig: members, epochs and batch_size must be at least 1.")
    if not 0 < config.held_out_share < 1:
        raise UserError(
            f"held_out_share must lie between 0 and 1, not {config.held_out_share}: "
            "the held-out model is always trained."
        )
    if not 0 <= config.label_smoothing < 0.5:
        raise UserError(f"label_smoothing must lie in [0, 0.5), not {config.label_smoothing}.")


# ------------------------------------------------------------------------ training


@dataclass
class Training:
    """The training of one member; `step` says what comes next."""

    run: Run[RewardModelConfig]
    accelerator: Accelerator
    member: Member
    tokenizer: PreTrainedTokenizerBase
    model: nn.Module
    optimizer: Optimizer
    store: CheckpointStore
    steps: int
    step: int = 0

    def save(self) -> None:
        state = training_state(self.accelerator, self.model, self.optimizer)
        self.store.save(self.step, {**state, "step": self.step})

    def restore(self) -> None:
        checkpoint = self.store.load()
        if checkpoint is not None:
            self.step = checkpoint.state["step"]
            training_state_restore(self.accelerator, self.model, self.optimizer, checkpoint.state)


def _backbone(run: Run[RewardModelConfig], seed: int) -> LoadedModel:
    source = run.config.backbone
    texts = []
    if source.kind == "fresh" and not source.tokenizer_from:
        rows = preferences_read(run.input("preferences"))
        texts = list(texts_of([row for row in rows if row.split == "train"]))
    loaded = classifier_load(source, run.inputs, texts=texts, seed=seed)
    context = getattr(loaded.model.config, "max_position_embeddings", run.config.max_length)
    if run.config.max_length > context:
        raise UserError(
            f"max_length is {run.config.max_length}, but the model reads at most {context} tokens."
        )
    return loaded


def _training(run: Run[RewardModelConfig], accelerator: Accelerator, member: Member) -> Training:
    config, loaded = run.config, _backbone(run, member.seed)
    model, optimizer = accelerator.prepare(
        loaded.model, adamw(loaded.model, config.learning_rate, config.weight_decay)
    )
    lengths = [p.longest for p in member.pairs]
    per_epoch = len(length_batches(lengths, config.batch_size, seed=member.seed, epoch=0))
    store = CheckpointStore(run.directory / "checkpoints" / member.name, run.guard, main=run.main)
    steps = per_epoch * config.epochs
    return Training(run, accelerator, member, loaded.tokenizer, model, optimizer, store, steps)


def _train_step(training: Training, batch: Sequence[Pair]) -> dict[str, float]:
    """One step on the weighted mean loss over the pairs of all processes."""
    config, accelerator = training.run.config, training.accelerator
    factor = linear_schedule(
        training.step, steps=training.steps, warmup=math.ceil(config.warmup_share * training.steps)
    )
    learning_rate_set(training.optimizer, config.learning_rate * factor)
    share = own_share(accelerator, range(len(batch)))
    pairs = [batch[i] for i in share] or [batch[0]]
    labels = pair_tensors(pairs)
    device = accelerator.device
    weight = labels.weight.to(device) * (1.0 if share else 0.0)
    rows = [p.first.ids for p in pairs] + [p.second.ids for p in pairs]
    first, second = score_rows(training.model, rows, int(training.tokenizer.pad_token_id)).chunk(2)
    result = pair_loss(
        first,
        second,
        labels.preference.to(device),
        labels.strength.to(device),
        label_smoothing=config.label_smoothing,
        margin_scale=config.margin_scale,
        centering=config.centering,
    )
    loss = (result.loss * weight).sum()
    everyone = max(1e-9, total(accelerator, weight.sum()))
    norm = optimizer_step(
        accelerator,
        training.model,
        training.optimizer,
        loss * (accelerator.num_processes / everyone),
        config.max_grad_norm,
    )
    mean = total(accelerator, loss.detach()) / everyone
    if not math.isfinite(mean):
        raise UserError(f"The loss is {mean} at step {training.step}: lower the learning rate.")
    right = total(accelerator, (result.correct * weight).sum()) / everyone
    rate = config.learning_rate * factor
    return {"loss": mean, "accuracy": right, "grad_norm": norm, "learning_rate": rate}


def _train(training: Training) -> None:
    config, member = training.run.config, training.member
    lengths = [p.longest for p in member.pairs]
    batches = batches_from(
        lengths, config.batch_size, seed=member.seed, start=training.step, stop=training.steps
    )
    for batch in batches:
        metrics = _train_step(training, [member.pairs[i] for i in batch])
        training.step += 1
        if training.step % config.log_every == 0 or training.step == training.steps:
            training.run.emit(f"train {member.name}", training.step, training.steps, metrics)
            cancel_check(training.run, training.accelerator, training.save)
        if training.step % config.checkpoint_every == 0 and training.step < training.steps:
            training.save()


def member_directory(run: Run[RewardModelConfig], name: str) -> Path:
    return run.directory / "members" / name


def _train_member(
    run: Run[RewardModelConfig], accelerator: Accelerator, member: Member
) -> list[str]:
    """Train one member to RUN/members/<name>, unless an attempt before this one did."""
    target = member_directory(run, member.name)
    if target.exists():
        try:
            artifact_verify(target)
            return []
        except DigestError as error:
            print(f"{member.name} is trained again: {error}", file=sys.stderr)
    training = _training(run, accelerator, member)
    training.restore()
    _train(training)
    unwrapped = accelerator.unwrap_model(training.model)
    if run.main:
        loaded = LoadedModel(unwrapped, training.tokenizer)
        directory_write(target, lambda path: model_save(loaded, path), guard=run.guard)
        training.store.clear()
    accelerator.free_memory()
    return training.store.refused


# ----------------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Ensemble:
    """Measured models that become one artifact, with what the test split says of them."""

    settings: EnsembleSettings
    directories: list[Path]
    members: list[dict[str, Any]]
    together: dict[str, Any]


def _measure(
    run: Run[RewardModelConfig],
    names: Sequence[str],
    validation: Sequence[Pair],
    division: Division,
    device: torch.device,
) -> Ensemble:
    settings, results = list[MemberSettings](), list[dict[str, Any]]()
    tests, validations = list[Tensor](), list[Tensor]()
    for i, name in enumerate(names):
        model = classifier_load_path(member_directory(run, name))
        model.model.to(device)
        reference = reference_read(
            run.inputs, model.tokenizer, division, max_length=run.config.max_length
        )
        scores = member_scores(model, reference.texts)
        tests.append(pair_differences(model, division.test))
        validations.append(pair_differences(model, validation))
        temperature = temperature_of(validations[-1], validation)
        mean, std = float(scores.mean()), float(scores.std(unbiased=False))
        settings.append(MemberSettings(f"member_{i}", mean, max(1e-6, std), temperature))
        results.append(model_results(tests[-1], division.test, temperature))
        run.emit("measure", i + 1, len(names), _flat(results[-1]), message=name)
    temperature = temperature_of(torch.stack(validations).mean(0), validation)
    return Ensemble(
        EnsembleSettings(
            tuple(settings),
            run.config.max_length,
            temperature,
            reference.source,
            len(reference.texts),
        ),
        [member_directory(run, name) for name in names],
        results,
        model_results(torch.stack(tests).mean(0), division.test, temperature),
    )


def _flat(results: dict[str, Any]) -> dict[str, float | None]:
    return {k: v for k, v in results.items() if k != "interval"}


def _write(
    run: Run[RewardModelConfig], name: str, kind: ArtifactKind, ensemble: Ensemble
) -> ArtifactRef:
    def write(path: Path) -> None:
        for member, source in zip(ensemble.settings.members, ensemble.directories, strict=True):
            shutil.copytree(source, path / member.path)
        document = json.dumps(ensemble.settings.to_json(), indent=1, sort_keys=True)
        (path / SETTINGS).write_text(document + "\n")

    return run.write_directory(name, kind, write)


# ---------------------------------------------------------------------------- main


def main(run: Run[RewardModelConfig]) -> None:
    accelerator = accelerator_open()
    _check(run.config)
    seed_everything(run.spec.seed)
    rows = preferences_read(run.input("preferences"))
    tokenizer = _backbone(run, run.spec.seed).tokenizer
    pairs = [pair_encode(tokenizer, row, run.config.max_length) for row in rows]
    division = pairs_divide(pairs, run.config.held_out_share)
    members, refused = members_planned(run, division), list[str]()
    for member in members:
        refused += _train_member(run, accelerator, member)
    if not run.main:
        run.finish([], {})
        return
    names = [m.name for m in members if m.name != HELD_OUT]
    device = accelerator.device
    ensemble = _measure(run, names, division.validation, division, device)
    guard = _measure(run, [HELD_OUT], division.held_out_validation, division, device)
    artifacts = [
        _write(run, "reward_model", "reward_model", ensemble),
        _write(run, "held_out_reward_model", "held_out_reward_model", guard),
    ]
    run.finish(artifacts, _results(pairs, division, ensemble, guard, refused))
    shutil.rmtree(run.directory / "members")
    shutil.rmtree(run.directory / "checkpoints", ignore_errors=True)


def _results(
    pairs: Sequence[Pair],
    division: Division,
    ensemble: Ensemble,
    guard: Ensemble,
    refused: list[str],
) -> dict[str, Any]:
    return {
        "test": {
            "ensemble": ensemble.together,
            "members": ensemble.members,
            "held_out_model": guard.together,
            "length_baseline": length_baseline(division),
            "ties": sum(p.row.tie for p in division.test),
            "groups": len({p.row.group for p in division.test}),
        },
        "pairs": division.counts(),
        "cut_texts": sum(p.cut for p in pairs),
        "reference": ensemble.settings.reference,
        "reference_texts": ensemble.settings.reference_texts,
        "refused_checkpoints": refused,
    }


if __name__ == "__main__":
    sys.exit(recipe_main(main, "reward_model", RewardModelConfig))
