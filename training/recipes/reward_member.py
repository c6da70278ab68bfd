"""One member of a reward model: from its pairs to RUN/members/<name>, resumed exactly where it was stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.contracts import RewardModelConfig
from training.core.data.batches import batches_from, length_batches
from training.core.data.json_lines import preferences_read, texts_of
from training.core.model.adapted_classifier import ClassifierBase, adapted_new
from training.core.model.loading import LoadedModel, classifier_load
from training.core.reward.batches import (
    Element,
    PairBatch,
    element_lengths,
    elements_of,
    pair_batch,
)
from training.core.reward.early_stopping import BestWeights
from training.core.reward.forward import score_rows
from training.core.reward.losses import updated
from training.core.reward.measurement import pair_differences, validation_nll
from training.core.reward.members import MemberRecord, member_write
from training.core.reward.objective import PairLoss, loss_settings, pair_loss
from training.core.reward.planning import Member, ties_prepare
from training.core.reward.rankings import RankingBatch, ranking_batch, ranking_loss
from training.core.reward.ties import TieModel, tie_value
from training.core.run.alarms import loss_check
from training.core.run.artifacts import directory_write
from training.core.run.checkpoints import CheckpointStore
from training.core.run.run_directory import Run
from training.digests import DigestError, artifact_verify
from training.recipes.runtime import (
    Network,
    adamw,
    cancel_check,
    learned_load,
    learned_state,
    micro_batches,
    network_open,
    optimizer_step,
    own_share,
    shards,
    total,
    training_state,
    training_state_restore,
    warmed_rate_set,
)

EPSILON = 1e-5
"""AdamW's, as in Ziegler 2019 and Huang 2024: with 1e-8 a first gradient that is nothing but rounding moves its
weight by as much as a real one, and another number of processes moves it elsewhere."""


@dataclass
class Training:
    """The training of one member; `step` says what comes next, `best` what is kept."""

    run: Run[RewardModelConfig]
    accelerator: Accelerator
    member: Member
    elements: list[Element]
    tokenizer: PreTrainedTokenizerBase
    stored: torch.dtype
    network: Network[PreTrainedModel]
    optimizer: Optimizer
    store: CheckpointStore
    steps: int
    best: BestWeights
    per_epoch: int
    step: int = 0

    @property
    def validated(self) -> bool:
        return self.run.config.validate_every > 0

    @property
    def loaded(self) -> LoadedModel:
        return LoadedModel(self.network.plain, self.tokenizer, self.stored)

    def save(self) -> None:
        best = {"best": self.best.state()} if self.validated else {}
        labels = {"labels": self.preferences} if self.run.config.label_updating > 0 else {}
        state = training_state(self.network, self.optimizer, **best, **labels)
        self.store.save(self.step, {**state, "step": self.step})

    def restore(self) -> None:
        checkpoint = self.store.load()
        if checkpoint is not None:
            self.step = checkpoint.state["step"]
            training_state_restore(self.accelerator, self.network, self.optimizer, checkpoint.state)
            if self.validated:
                self.best.restore(checkpoint.state["best"])
            if self.run.config.label_updating > 0:
                self.relabel(checkpoint.state["labels"])

    @property
    def preferences(self) -> list[float]:
        return [pair.row.preference for pair in self.member.pairs]

    def relabel(self, preferences: Sequence[float]) -> None:
        """Learn from these preferences of the member's pairs from now on."""
        pairs = [
            replace(pair, row=replace(pair.row, preference=preference))
            for pair, preference in zip(self.member.pairs, preferences, strict=True)
        ]
        self.member = replace(self.member, pairs=pairs)
        self.elements = elements_of(pairs, self.run.config.batch_by, self.run.config.loss)


BASE = "base"
"""The directory beside the members' that has the weights which their adapters stand on."""


def backbone_open(run: Run[RewardModelConfig], seed: int) -> LoadedModel:
    source = run.config.backbone
    texts = []
    if source.kind == "fresh" and not source.tokenizer_from:
        rows = preferences_read(run.input("preferences"))
        texts = list(texts_of([row for row in rows if row.split == "train"]))
    loaded = classifier_load(source, run.inputs, texts=texts, seed=seed)
    return loaded.written_as(run.config.checkpoint_dtype)


def _member_open(
    run: Run[RewardModelConfig],
    accelerator: Accelerator,
    member: Member,
    base: ClassifierBase | None,
) -> LoadedModel:
    """Whole, or an adapter on `base`; what is cut into parts stands on a copy of it."""
    if base is None:
        return backbone_open(run, member.weights_seed)
    sharded = shards(accelerator) > 1
    return adapted_new(base, run.config.adapter, seed=member.weights_seed, own=sharded)


def _training(
    run: Run[RewardModelConfig],
    accelerator: Accelerator,
    member: Member,
    base: ClassifierBase | None,
) -> Training:
    config, loaded = run.config, _member_open(run, accelerator, member, base)
    ties_prepare(loaded.model, config, member.pairs)
    network = network_open(accelerator, loaded.model, recompute=config.gradient_checkpointing)
    optimizer = accelerator.prepare(
        adamw(network.inner, config.learning_rate, config.weight_decay, eps=EPSILON)
    )
    elements = elements_of(member.pairs, config.batch_by, config.loss)
    lengths = element_lengths(elements)
    per_epoch = len(length_batches(lengths, config.batch_size, seed=member.seed, epoch=0))
    store = CheckpointStore(run.directory / "checkpoints" / member.name, run.guard, main=run.main)
    return Training(
        run,
        accelerator,
        member,
        elements,
        loaded.tokenizer,
        loaded.stored,
        network,
        optimizer,
        store,
        steps=per_epoch * config.epochs,
        best=BestWeights(config.patience),
        per_epoch=per_epoch,
    )


def _train_step(training: Training, batch: Sequence[Element]) -> dict[str, float]:
    """One step on the weighted mean loss over the pairs of all processes."""
    config, accelerator = training.run.config, training.accelerator
    rate = warmed_rate_set(
        training.optimizer,
        config.learning_rate,
        step=training.step,
        steps=training.steps,
        warmup_share=config.warmup_share,
    )
    share = own_share(accelerator, range(len(batch)))
    counted, device = 1.0 if share else 0.0, accelerator.device
    mine = [batch[i] for i in share] or [batch[0]]
    whole = config.loss == "plackett_luce"
    parts = [
        ranking_batch(rows) if whole else pair_batch(rows)
        for rows in micro_batches(mine, config.micro_batch_size)
    ]
    weights = torch.cat([part.weight for part in parts])
    everyone = max(1e-9, total(accelerator, (weights * counted).sum()))
    summed = dict[int, Tensor]()  # of each part once: a penalised gradient computes it twice

    def share_of(number: int, own: PairBatch | RankingBatch, worked: float) -> Tensor:
        weight = own.weight.to(device) * (counted * worked)
        pad_id = int(training.tokenizer.pad_token_id)
        scores = score_rows(training.network.model, own.rows, pad_id, packed=config.packed)
        result = _loss_of(training, scores, own)
        loss = (result.loss * weight).sum()
        summed.setdefault(number, torch.stack([loss.detach(), (result.correct * weight).sum()]))
        return loss.mul(accelerator.num_processes / everyone)

    norm = optimizer_step(
        accelerator,
        training.network.model,
        training.optimizer,
        [partial(share_of, number, part) for number, part in enumerate(parts)],
        config.max_grad_norm,
        penalty=config.gradient_penalty,
        probe=config.gradient_probe,
    )
    losses, rights = torch.stack(list(summed.values())).sum(0)
    mean = total(accelerator, losses) / everyone
    loss_check(mean, step=training.step)
    right = total(accelerator, rights) / everyone
    return {"loss": mean, "accuracy": right, "grad_norm": norm, "learning_rate": rate}


def _loss_of(training: Training, scores: Tensor, own: PairBatch | RankingBatch) -> PairLoss:
    config, device = training.run.config, scores.device
    if isinstance(own, RankingBatch):
        return ranking_loss(scores, own, centering=config.centering)
    return pair_loss(
        scores[own.first.to(device)],
        scores[own.second.to(device)],
        own.labels.to(device),
        loss_settings(config),
        tie_value(training.network.inner),
    )


def _train(training: Training) -> None:
    config, member = training.run.config, training.member
    batches = batches_from(
        element_lengths(training.elements),
        config.batch_size,
        seed=member.seed,
        start=training.step,
        stop=training.steps,
    )
    for batch in batches:
        if training.best.exhausted:
            break
        metrics = _train_step(training, [training.elements[i] for i in batch])
        training.step += 1
        last = training.step == training.steps
        # Before anything may save: a checkpoint of this step holds its measurement.
        if training.validated and (training.step % config.validate_every == 0 or last):
            _validate(training)
        if config.label_updating > 0 and training.step % training.per_epoch == 0 and not last:
            _labels_update(training)
        if training.step % config.log_every == 0 or last or training.best.exhausted:
            training.run.emit(f"train {member.name}", training.step, training.steps, metrics)
            cancel_check(training.run, training.accelerator, training.save)
        if training.step % config.checkpoint_every == 0 and not last:
            training.save()
    if training.best.weights:
        learned_load(training.network.inner, training.best.weights)


def _labels_update(training: Training) -> None:
    """After an epoch: each process works its share of the labels out, and all get all."""
    pairs, accelerator = training.member.pairs, training.accelerator
    mine = own_share(accelerator, range(len(pairs)))
    with training.network.whole(), accelerator.autocast():
        own = pair_differences(training.loaded, [pairs[i] for i in mine])
    found = dict(gather_object(list(zip(mine, own.tolist(), strict=True))))
    difference = torch.tensor([found[i] for i in range(len(pairs))])
    before = torch.tensor(training.preferences, dtype=torch.float64)
    rate = training.run.config.label_updating
    training.relabel(updated(before, difference.double(), rate).tolist())


def _validate(training: Training) -> None:
    """Measure the validation NLL over all processes, and keep the weights where it is the best."""
    accelerator, member = training.accelerator, training.member
    share = own_share(accelerator, range(len(member.validation)))
    pairs = [member.validation[i] for i in share]
    with training.network.whole(), accelerator.autocast():
        difference = pair_differences(training.loaded, pairs)
        nll, weight = validation_nll(difference, pairs, _tie_model(training))
    mean = total(accelerator, nll) / total(accelerator, weight)
    best = training.best
    best.observe(training.step, mean, learned_state(training.network.inner))
    note = ""
    if best.exhausted:
        note = f"Stopped: no better than at step {best.step}, whose weights are kept."
    metrics = {"validation_nll": mean, "best_validation_nll": best.nll}
    training.run.emit(f"validate {member.name}", training.step, training.steps, metrics, note)


def _tie_model(training: Training) -> TieModel:
    """Where the network is sharded, to be asked inside its whole weights."""
    parameter = tie_value(training.loaded.model)
    return TieModel(
        training.run.config.ties, 0.0 if parameter is None else float(parameter.detach())
    )


def _record(training: Training) -> MemberRecord | None:
    """What is saved beside the weights; plain training to the last step leaves nothing to say."""
    ties = _tie_model(training)
    if ties.kind == "half" and not training.validated:
        return None
    best = training.best if training.validated else None
    return MemberRecord(
        tie_parameter=ties.parameter,
        steps=training.step,
        kept_step=best.step if best else training.step,
        validation_nll=best.nll if best else None,
    )


def member_directory(run: Run[RewardModelConfig], name: str) -> Path:
    return run.directory / "members" / name


def member_train(
    run: Run[RewardModelConfig],
    accelerator: Accelerator,
    member: Member,
    base: ClassifierBase | None = None,
) -> list[str]:
    """Train one member, on `base` if there is one, to RUN/members/<name>, unless an attempt before this one did."""
    target = member_directory(run, member.name)
    if target.exists():
        try:
            artifact_verify(target)
            return []
        except DigestError as error:
            print(f"{member.name} is trained again: {error}", file=sys.stderr)
    training = _training(run, accelerator, member, base)
    training.restore()
    _train(training)
    with training.network.saved():
        if run.main:
            loaded, record = training.loaded, _record(training)
            directory_write(
                target, lambda path: member_write(path, loaded, record), guard=run.guard
            )
            training.store.clear()
    accelerator.free_memory()
    return training.store.refused
