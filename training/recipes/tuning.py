"""The loop of the recipes that tune a policy on chosen texts: measure at points, learn in between.

DPO and best-of-n say what a step is and what stands in a row beside the measurement; resuming, saving,
endings and artifacts are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from training.contracts import ArtifactRef, BestOfNConfig, DpoConfig
from training.core.data.randomness import derive_seed
from training.core.model.loading import LoadedModel
from training.core.model.lora import trainable_parameters
from training.core.model.policy_artifact import policy_artifacts_write
from training.core.rollout.sample_log import SampleLog
from training.core.run.checkpoints import CheckpointStore, seed_everything
from training.core.run.run_directory import Run
from training.core.tuning.checkpoint_selection import Limits
from training.core.tuning.policy_meter import PolicyMeter, measure_points
from training.core.tuning.policy_state import policy_state, policy_state_restore
from training.core.tuning.progress import TrainingProgress
from training.recipes.runtime import Network, cancel_check

Metrics = dict[str, float | None]
ConfigT = TypeVar("ConfigT", DpoConfig, BestOfNConfig)
ProgressT = TypeVar("ProgressT", bound="TuningProgress")


@dataclass
class TuningProgress(TrainingProgress):
    """`step` counts optimiser steps."""

    stopped_by: str = "steps"
    step: int = 0


@dataclass(frozen=True)
class Tuned(Generic[ConfigT]):
    """What the loop works with; `steps` are all that the run will take."""

    run: Run[ConfigT]
    accelerator: Any
    policy: LoadedModel
    network: Network[Any]
    optimizer: Any
    meter: PolicyMeter
    steps: int
    store: CheckpointStore
    samples: SampleLog

    @property
    def config(self) -> ConfigT:
        return self.run.config


def resume(parts: Tuned[Any], first: ProgressT) -> ProgressT:
    """The state of the newest whole checkpoint, or `first`."""
    checkpoint = parts.store.load()
    if checkpoint is None:
        return first
    progress = type(first).from_state(
        policy_state_restore(parts.network.inner, parts.optimizer, checkpoint.state)
    )
    parts.samples.keep_before(progress.step)
    parts.run.emit("resume", progress.step, parts.steps, message="Resumed from a checkpoint.")
    return progress


def save(parts: Tuned[Any], progress: TuningProgress) -> None:
    state = policy_state(parts.network.inner, parts.optimizer, progress.to_state())
    parts.store.save(progress.step, state)


def learn(
    parts: Tuned[Any],
    progress: TuningProgress,
    *,
    take_step: Callable[[], Metrics],
    beside: Callable[[], Metrics],
) -> None:
    """Measure at the points, learn in between; the last point only measures.

    `take_step` is one optimiser step and its row; `beside` is what a measurement's row says of the
    steps before it, asked while the network is whole.
    """
    config, run, steps = parts.config, parts.run, parts.steps
    points = measure_points(steps, config.measure.points)
    for step in range(progress.step, steps + 1):
        ending = _measure(parts, progress, beside) if step in points else ""
        if ending or step == steps:
            progress.stopped_by = ending or progress.stopped_by
            break
        row = take_step()
        progress.step = step + 1
        if progress.step % config.log_every == 0:
            run.emit("train", progress.step, steps, row)
        if progress.step % config.checkpoint_every == 0:
            save(parts, progress)
        cancel_check(run, parts.accelerator, lambda: save(parts, progress))
    progress.kept.report(run, steps, stopped_by=progress.stopped_by)


def _measure(parts: Tuned[Any], progress: TuningProgress, beside: Callable[[], Metrics]) -> str:
    """One row on the present policy; returns why the run ends here, or ""."""
    run = parts.run
    seed_everything(derive_seed(run.spec.seed, "measure", progress.step))
    with parts.network.whole():
        with parts.accelerator.autocast():
            rollout = parts.meter.measure(progress.throughput)
        row = rollout.metrics | beside()
    weights, limits = trainable_parameters(parts.network.inner), Limits.of(parts.config.measure)
    ending = progress.kept.note(row, at=progress.step, weights=weights, limits=limits)
    if ending != "kl_budget":
        parts.samples.add(progress.step, rollout.prompts, rollout.episodes, rollout.scores)
    seconds = {f"seconds_{phase}": spent for phase, spent in progress.throughput.seconds.items()}
    run.emit(run.spec.kind, progress.step, parts.steps, row | seconds)
    return ending


def finish(
    parts: Tuned[Any],
    progress: TuningProgress,
    results: Mapping[str, Any],
    *,
    more: Callable[[], Sequence[ArtifactRef]] = tuple,
) -> None:
    """Write the kept policy and `more` artifacts; `results` are the recipe's own."""
    run = parts.run
    trained = trainable_parameters(parts.network.inner)
    count = sum(parameter.numel() for parameter in trained)
    progress.kept.restore(trained)
    parts.accelerator.wait_for_everyone()
    sampling = parts.config.measure.sampling
    artifacts: list[ArtifactRef] = []
    with parts.network.saved():
        if run.main:
            artifacts = policy_artifacts_write(run, parts.policy, sampling)
            artifacts += [*more(), parts.samples.artifact()]
    common = {
        **progress.kept.results(),
        **progress.throughput.results(),
        "updates_run": progress.step,
        "stopped_by": progress.stopped_by,
        "sampling": sampling.to_json(),
        "trained_parameters": count,
        "checkpoints_refused": list(parts.store.refused),
    }
    run.finish(artifacts, common | dict(results))
    parts.store.clear()
