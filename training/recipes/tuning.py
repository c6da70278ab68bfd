"""What the recipes that tune a policy share: how they begin, resume, save and end, and the loop of two.

PPO learns from what it draws itself, update by update, and has a loop of its own. DPO and best-of-n learn
from chosen texts: they say what a step is and what stands in a row beside the measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from accelerate.utils import gather_object
from torch import nn

from training.contracts import ArtifactRef, BestOfNConfig, DpoConfig, PpoConfig
from training.core.data.randomness import derive_seed
from training.core.model.loading import LoadedModel
from training.core.model.lora import adapter_add, trainable_parameters
from training.core.model.memory_estimate import Estimate, Fixes, memory_report
from training.core.model.policy_artifact import policy_artifacts_write
from training.core.rollout.episodes import Episodes
from training.core.rollout.first_texts import FirstText, first_texts_check, first_texts_of
from training.core.rollout.sample_log import SampleLog
from training.core.run.checkpoints import CheckpointStore, seed_everything
from training.core.run.run_directory import Run
from training.core.tuning.checkpoint_selection import Limits
from training.core.tuning.footprint import weights_fix
from training.core.tuning.materials import Materials, materials_open, measure_of, reference_cast
from training.core.tuning.policy_meter import PolicyMeter, measure_points, meter_open
from training.core.tuning.progress import TrainingProgress, policy_state, policy_state_restore
from training.recipes.runtime import (
    Network,
    adamw,
    cancel_check,
    footprint_sizes,
    network_open,
    shards,
)

Metrics = dict[str, float | None]
ConfigT = TypeVar("ConfigT", PpoConfig, DpoConfig, BestOfNConfig)
MeasuredT = TypeVar("MeasuredT", DpoConfig, BestOfNConfig)
ProgressT = TypeVar("ProgressT", bound="TrainingProgress")


@dataclass(frozen=True)
class Tuned(Generic[ConfigT]):
    """What a recipe works with, built once; `steps` are all that the run will take."""

    run: Run[ConfigT]
    accelerator: Any
    policy: LoadedModel
    network: Network[Any]
    optimizer: Any
    steps: int
    store: CheckpointStore
    samples: SampleLog

    @classmethod
    def open(
        cls,
        run: Run[ConfigT],
        accelerator: Any,
        materials: Materials,
        network: Network[Any],
        optimizer: Any,
        *,
        steps: int,
        **own: Any,
    ) -> Self:
        """`own` are the recipe's own parts."""
        store = CheckpointStore(run.directory / "checkpoints", guard=run.guard, main=run.main)
        samples = SampleLog(run, f"{run.spec.kind}_samples")
        common = (run, accelerator, materials.policy, network, optimizer, steps, store, samples)
        return cls(*common, **own)

    @property
    def config(self) -> ConfigT:
        return self.run.config

    @property
    def limits(self) -> Limits:
        return Limits.of(measure_of(self.config))

    def trained(self) -> list[nn.Parameter]:
        """What is learned of the policy: all of it, or its adapter."""
        return trainable_parameters(self.network.inner)


# -------------------------------------------------------------------------- begin


def begin(
    run: Run[Any],
    accelerator: Any,
    footprint: Callable[..., Estimate],
    fixes: Fixes | None = None,
) -> Materials:
    """Estimate the memory, and only then load and check what the run works with."""
    found = footprint(run, **footprint_sizes(accelerator))
    advice = replace(fixes or Fixes(), weights=weights_fix(run))
    memory_report(run, found, device=accelerator.device, fixes=advice)
    return materials_open(run, device=accelerator.device, share=shards(accelerator) == 1)


@dataclass(frozen=True)
class Measured(Tuned[MeasuredT]):
    """A policy that learns from chosen texts, with the meter that looks at it between steps."""

    meter: PolicyMeter

    @classmethod
    def measured_open(
        cls,
        run: Run[MeasuredT],
        accelerator: Any,
        materials: Materials,
        *,
        meter_batch: int,
        steps: int,
        own: Callable[[Network[Any]], Mapping[str, Any]],
    ) -> Self:
        """Hand the policy, with its adapter, to the processes and to an optimiser.

        `own` makes the recipe's own parts: with the networks as they compute from now on.
        """
        config, policy = run.config, materials.policy
        meter = meter_open(
            materials,
            config=config.measure,
            seed=run.spec.seed,
            batch_size=meter_batch,
            accelerator=accelerator,
        )
        adapter_add(policy.model, config.adapter, seed=run.spec.seed)
        network = network_open(accelerator, policy.model)
        reference_cast(materials.reference, network.dtype)
        optimizer = accelerator.prepare(adamw(network.inner, config.learning_rate, 0.0))
        return cls.open(
            run,
            accelerator,
            materials,
            network,
            optimizer,
            steps=steps,
            meter=meter,
            **own(network),
        )


# ----------------------------------------------------------------- resume and save


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


def save(parts: Tuned[Any], progress: TrainingProgress) -> None:
    state = policy_state(parts.network.inner, parts.optimizer, progress.to_state())
    parts.store.save(progress.step, state)


def save_or_cancel(parts: Tuned[Any], progress: TrainingProgress) -> None:
    """After a step: a checkpoint where one is due, and the end where RUN/cancel asks for it."""
    if progress.step % parts.config.checkpoint_every == 0:
        save(parts, progress)
    cancel_check(parts.run, parts.accelerator, lambda: save(parts, progress))


# --------------------------------------------------------------------------- loop


def learn(
    parts: Measured[Any],
    progress: TrainingProgress,
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
        save_or_cancel(parts, progress)
    progress.kept.report(run, steps, stopped_by=progress.stopped_by)


def _measure(
    parts: Measured[Any], progress: TrainingProgress, beside: Callable[[], Metrics]
) -> str:
    """One row on the present policy; returns why the run ends here, or ""."""
    run = parts.run
    seed_everything(derive_seed(run.spec.seed, "measure", progress.step))
    with parts.network.whole():
        with parts.accelerator.autocast():
            rollout = parts.meter.measure(progress.throughput)
        row = rollout.metrics | beside()
    ending = progress.kept.note(row, at=progress.step, weights=parts.trained(), limits=parts.limits)
    if ending != "kl_budget":
        parts.samples.add(progress.step, rollout.prompts, rollout.episodes, rollout.scores)
    seconds = {f"seconds_{phase}": spent for phase, spent in progress.throughput.seconds.items()}
    run.emit(run.spec.kind, progress.step, parts.steps, row | seconds)
    return ending


def first_texts_require(
    parts: Tuned[Any], episodes: Episodes, *, entropy: float | None = None
) -> None:
    """Raise `UserError` where the first texts of all processes leave nothing to learn."""
    own = first_texts_of(
        [tuple(prompt) for prompt in episodes.prompts],
        episodes.responses,
        episodes.texts,
        pad_id=parts.policy.pad_id,
    )
    first_texts_check([FirstText(*one) for one in gather_object(own)], entropy=entropy)


# ------------------------------------------------------------------------- finish


def finish(
    parts: Tuned[Any],
    progress: TrainingProgress,
    results: Mapping[str, Any],
    *,
    more: Callable[[], Sequence[ArtifactRef]] = tuple,
) -> None:
    """Write the kept policy and `more` artifacts; `results` are the recipe's own."""
    run, trained = parts.run, parts.trained()
    count = sum(parameter.numel() for parameter in trained)
    progress.kept.restore(trained)
    parts.accelerator.wait_for_everyone()
    sampling = measure_of(parts.config).sampling
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
