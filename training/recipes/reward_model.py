"""Bradley-Terry reward models: an ensemble of members, and the held-out model that guards it.

    accelerate launch -m training.recipes.reward_model RUN/spec.json [--token N]

Inputs: `preferences`; the input that `RewardModelConfig.backbone` names; optionally
`reference_samples` (completions) with `prompts`, on which scores are put on a common scale; and, where
`off_policy` asks for them, the policies that wrote the completions (see `training.recipes.reward_off_policy`).
Artifacts: `reward_model` and `held_out_reward_model` (see `training.core.reward.scoring`). The results hold
the accuracy of each model on the test split beside the length-only baseline of the very same pairs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedTokenizerBase

from annotation.rows import PreferenceRow
from training.contracts import ArtifactKind, ArtifactRef, RewardModelConfig
from training.core.data.json_lines import preferences_read
from training.core.data.pairs import Division, EncodedPair, pairs_encode
from training.core.model.adapted_classifier import ClassifierBase, base_of, base_save
from training.core.model.loading import LoadedModel
from training.core.model.memory_estimate import Fixes, Job, estimate, memory_report, shape_of
from training.core.reward.contrasts import cross_prompt_pairs
from training.core.reward.members import (
    Ensemble,
    MemberBase,
    ensemble_measure,
    ensemble_results,
    ensemble_write,
    member_write,
    members_average,
)
from training.core.reward.planning import (
    HELD_OUT,
    criteria_divided,
    division_of,
    members_planned,
)
from training.core.reward.scoring import BaseSettings
from training.core.rollout.model_checks import backbone_checks, checks_pass
from training.core.run.artifacts import directory_write
from training.core.run.checkpoints import seed_everything
from training.core.run.run_directory import Run, recipe_main
from training.recipes.reward_member import BASE, backbone_open, member_directory, member_train
from training.recipes.reward_off_policy import FACTORS, rows_corrected
from training.recipes.runtime import (
    accelerator_open,
    activation_bytes,
    shards,
    unsharded_require,
)  # fmt: skip

AVERAGE = "average"


# ----------------------------------------------------------------------- measuring


def _measure(
    run: Run[RewardModelConfig],
    accelerator: Accelerator,
    names: Sequence[str],
    division: Division,
    validation: Sequence[EncodedPair],
    base: MemberBase | None,
    criteria: Sequence[str] = (),
) -> Ensemble:
    done = list[str]()

    def report(name: str, results: dict[str, Any]) -> None:
        done.append(name)
        flat = {k: v for k, v in results.items() if k != "interval"}
        run.emit("measure", len(done), len(names), flat, message=name)

    return ensemble_measure(
        [member_directory(run, name) for name in names],
        division,
        validation,
        config=run.config,
        inputs=run.inputs,
        device=accelerator.device,
        report=report,
        base=base,
        criteria=criteria,
    )


def _averaged(
    run: Run[RewardModelConfig], names: Sequence[str], base: MemberBase | None
) -> tuple[list[str], MemberBase | None]:
    """The names of what the artifact holds, and what it stands on: the members, or the one model of their mean
    weights, which is whole."""
    if not run.config.weight_average:
        return list(names), base
    loaded, record = members_average(
        [member_directory(run, name) for name in names], None if base is None else base.classifier
    )
    target = member_directory(run, AVERAGE)
    directory_write(target, lambda path: member_write(path, loaded, record), guard=run.guard)
    return [AVERAGE], None


def _base_write(run: Run[RewardModelConfig], base: ClassifierBase | None) -> MemberBase | None:
    """RUN/members/base, once for all members (main process only)."""
    if base is None:
        return None
    target, source = member_directory(run, BASE), run.config.backbone
    directory_write(target, lambda path: base_save(base, path), guard=run.guard)
    origin = run.spec.inputs[source.name].sha256 if source.kind == "input" else ""
    return MemberBase(base, target, BaseSettings(BASE, base.sha256(), origin))


def _write(
    run: Run[RewardModelConfig], name: str, kind: ArtifactKind, ensemble: Ensemble
) -> ArtifactRef:
    return run.write_directory(name, kind, lambda path: ensemble_write(path, ensemble))


# ---------------------------------------------------------------------------- main


def _memory_needed(
    run: Run[RewardModelConfig],
    rows: Sequence[PreferenceRow],
    backbone: LoadedModel,
    accelerator: Accelerator,
) -> None:
    """Report what the dearest step needs; a `UserError` where that is more than there is."""
    config = run.config
    shape = shape_of(backbone.model, speaks=False, adapter=config.adapter)
    ranked = [row.part.answers for row in rows if row.part]
    answers = max(ranked, default=2) if config.loss == "plackett_luce" else 2
    job = _job(config, accelerator, answers)
    # A penalised gradient keeps weights and gradients as they were before the probe.
    probed = [shape.weights_alone(2 * shape.learned)] if config.gradient_penalty > 0 else []
    needed = estimate([shape], probed, job, shards=shards(accelerator))
    can = config.adapter.kind == "none" and config.backbone.kind != "fresh"
    fixes = Fixes(weights="set adapter, " if can else "")
    memory_report(run, needed, device=accelerator.device, fixes=fixes)


def _job(config: RewardModelConfig, accelerator: Accelerator, answers: int) -> Job:
    """The dearest step: a batch of pairs, or of rankings of so many answers, whose texts are as long as they may
    be."""
    pairs = -(-config.batch_size // accelerator.num_processes)
    return Job(
        rows=answers * min(pairs, config.micro_batch_size or pairs),
        length=config.max_length,
        recompute=config.gradient_checkpointing,
        number=activation_bytes(accelerator),
    )


def _contrasted(
    division: Division, run: Run[RewardModelConfig], tokenizer: PreTrainedTokenizerBase
) -> Division:
    """With pairs across prompts; each side makes its own, so that the held-out model stays a witness."""
    if run.config.cross_prompt_share == 0:
        return division
    settings: dict[str, Any] = {
        "share": run.config.cross_prompt_share,
        "max_length": run.config.max_length,
        "truncation": run.config.truncation,
        "seed": run.spec.seed,
    }
    train, held_out = (
        [*pairs, *cross_prompt_pairs(pairs, tokenizer, **settings)] if pairs else pairs
        for pairs in (division.train, division.held_out)
    )
    return replace(division, train=train, held_out=held_out)


def main(run: Run[RewardModelConfig]) -> None:
    accelerator = accelerator_open()
    if run.config.packed:
        unsharded_require(accelerator, "packed reads whole weights", fix="set it to false")
    if run.config.gradient_penalty > 0:
        unsharded_require(accelerator, "gradient_penalty moves whole weights", fix="set it to 0")
    seed_everything(run.spec.seed)
    rows, weighed = rows_corrected(run, accelerator, preferences_read(run.input("preferences")))
    backbone = backbone_open(run, run.spec.seed)
    _memory_needed(run, rows, backbone, accelerator)
    if shards(accelerator) == 1:  # whole models fit where they are trained, and are checked there
        backbone.model.to(accelerator.device)
    checks = backbone_checks(backbone, max_length=run.config.max_length, adapter=run.config.adapter)
    checks_pass(checks)
    found = pairs_encode(
        backbone.tokenizer,
        rows,
        max_length=run.config.max_length,
        truncation=run.config.truncation,
    )
    run.warn("texts", found.fitted.warning)
    division = division_of(found.encoded, run.config)
    learned = _contrasted(division, run, backbone.tokenizer)
    votes = {
        key: _contrasted(own, run, backbone.tokenizer)
        for key, own in criteria_divided(found.encoded, run.config).items()
    }
    base = None if run.config.adapter.kind == "none" else base_of(backbone)
    del backbone
    members = members_planned(run.config, learned, seed=run.spec.seed, criteria=votes)
    refused = list[str]()
    for member in members:
        refused += member_train(run, accelerator, member, base)
    if not run.main:
        run.finish([], {})
        return
    stands = _base_write(run, base)
    names, under = _averaged(run, [m.name for m in members if m.name != HELD_OUT], stands)
    heads = [member.criterion for member in members[:-1]] if votes else ()
    ensemble = _measure(run, accelerator, names, division, division.validation, under, heads)
    guard = _measure(run, accelerator, [HELD_OUT], division, division.held_out_validation, stands)
    artifacts = [
        _write(run, "reward_model", "reward_model", ensemble),
        _write(run, "held_out_reward_model", "held_out_reward_model", guard),
    ]
    results = ensemble_results(found.encoded, division, ensemble, guard) | found.fitted.results()
    results |= weighed
    results["cross_prompt_pairs"] = {
        "train": len(learned.train) - len(division.train),
        "held_out": len(learned.held_out) - len(division.held_out),
    }
    if votes:
        results["criteria"] = {key: own.counts() for key, own in votes.items()}
    run.finish(artifacts, results | {"refused_checkpoints": refused})
    shutil.rmtree(run.directory / "members")
    shutil.rmtree(run.directory / "checkpoints", ignore_errors=True)
    (run.directory / FACTORS).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(recipe_main(main, "reward_model", RewardModelConfig))
