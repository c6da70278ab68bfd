"""Bradley-Terry reward models: an ensemble of members, and the held-out model that guards it.

    accelerate launch -m training.recipes.reward_model RUN/spec.json [--token N]

Inputs: `preferences`; the input that `RewardModelConfig.backbone` names; optionally
`reference_samples` (completions) with `prompts`, on which scores are put on a common scale.
Artifacts: `reward_model` and `held_out_reward_model` (see `training.core.reward.scoring`). The results hold
the accuracy of each model on the test split beside the length-only baseline of the very same pairs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from accelerate import Accelerator

from training.contracts import ArtifactKind, ArtifactRef, RewardModelConfig
from training.core.data.json_lines import preferences_read
from training.core.data.pairs import Division, EncodedPair, pair_encode
from training.core.model.memory_estimate import Job, estimate, memory_report, shape_of
from training.core.reward.members import (
    Ensemble,
    ensemble_measure,
    ensemble_results,
    ensemble_write,
    member_write,
    members_average,
)
from training.core.reward.planning import HELD_OUT, division_of, members_planned
from training.core.run.artifacts import directory_write
from training.core.run.checkpoints import seed_everything
from training.core.run.run_directory import Run, recipe_main
from training.recipes.reward_member import backbone_open, member_directory, member_train
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
    )


def _averaged(run: Run[RewardModelConfig], names: Sequence[str]) -> list[str]:
    """The names of what the artifact holds: the members, or the one model of their mean weights."""
    if not run.config.weight_average:
        return list(names)
    loaded, record = members_average([member_directory(run, name) for name in names])
    target = member_directory(run, AVERAGE)
    directory_write(target, lambda path: member_write(path, loaded, record), guard=run.guard)
    return [AVERAGE]


def _write(
    run: Run[RewardModelConfig], name: str, kind: ArtifactKind, ensemble: Ensemble
) -> ArtifactRef:
    return run.write_directory(name, kind, lambda path: ensemble_write(path, ensemble))


# ---------------------------------------------------------------------------- main


def _job(config: RewardModelConfig, accelerator: Accelerator) -> Job:
    """The dearest step: a batch of pairs whose texts are as long as they may be."""
    pairs = -(-config.batch_size // accelerator.num_processes)
    return Job(
        rows=2 * min(pairs, config.micro_batch_size or pairs),
        length=config.max_length,
        recompute=config.gradient_checkpointing,
        number=activation_bytes(accelerator),
    )


def main(run: Run[RewardModelConfig]) -> None:
    accelerator = accelerator_open()
    if run.config.packed:
        unsharded_require(accelerator, "packed reads whole weights", fix="set it to false")
    seed_everything(run.spec.seed)
    rows = preferences_read(run.input("preferences"))
    backbone = backbone_open(run, run.spec.seed)
    shape = shape_of(backbone.model, speaks=False)
    found = estimate([shape], [], _job(run.config, accelerator), shards=shards(accelerator))
    memory_report(run, found, device=accelerator.device)
    pairs = [pair_encode(backbone.tokenizer, row, run.config.max_length) for row in rows]
    del backbone
    division = division_of(pairs, run.config)
    members = members_planned(run.config, division, seed=run.spec.seed)
    refused = list[str]()
    for member in members:
        refused += member_train(run, accelerator, member)
    if not run.main:
        run.finish([], {})
        return
    names = _averaged(run, [m.name for m in members if m.name != HELD_OUT])
    ensemble = _measure(run, accelerator, names, division, division.validation)
    guard = _measure(run, accelerator, [HELD_OUT], division, division.held_out_validation)
    artifacts = [
        _write(run, "reward_model", "reward_model", ensemble),
        _write(run, "held_out_reward_model", "held_out_reward_model", guard),
    ]
    results = ensemble_results(pairs, division, ensemble, guard)
    run.finish(artifacts, results | {"refused_checkpoints": refused})
    shutil.rmtree(run.directory / "members")
    shutil.rmtree(run.directory / "checkpoints", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(recipe_main(main, "reward_model", RewardModelConfig))
