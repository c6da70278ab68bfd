"""What every step is given and gives back, and how a step runs a learning program."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from annotation import facade as annotation
from annotation.contracts import NewCompletion
from annotation.rows import PromptRow
from outerloop.rounds.claims import (
    ClaimLost,
    RoundCancelRequested,
    step_heartbeat,
    step_progress,
)
from outerloop.rounds.models import LineSuite, PolicyLine, Round, RoundStep, State
from outerloop.rounds.plan import RoundPlan, StartFrom
from training import facade as training
from training.contracts import InputRef, JsonContract, RunEvent
from web.files import file_written


class StepFailed(RuntimeError):
    """The round cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Move:
    """The step is done: what it read and wrote, and where the round goes."""

    to: State
    read: tuple[str, ...] = ()
    wrote: tuple[str, ...] = ()
    note: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """The step cannot end yet; it is tried again when something happened, or by the sweeper."""

    note: str


@dataclass(frozen=True)
class StepContext:
    round: Round
    line: PolicyLine
    plan: RoundPlan
    step: RoundStep
    owner: str

    @property
    def seed(self) -> int:
        """A seed of this round alone, the same in every attempt."""
        return self.plan.seed * 1_000 + self.round.number


def step_run(
    context: StepContext,
    *,
    kind: str,
    config: JsonContract,
    inputs: Mapping[str, InputRef],
    minutes: float,
    anew: bool = False,
) -> training.RunRecord:
    """Run a learning program for this step; a second attempt of the step continues the same run.

    `anew` orders a further run in place of the one that the step has finished.
    """
    ordered = None if anew else context.step.run
    run_id = ordered or _order(context, kind, config, inputs)

    def beat(event: RunEvent | None) -> None:
        if event is None:
            _heartbeat(context, run_id)
            return
        step_progress(
            context.step,
            phase=event.phase,
            progress=event.step,
            total=event.total_steps,
            note=event.message,
        )

    return training.run_execute(
        run_id=run_id,
        owner=context.owner,
        beat=beat,
        time_limit_seconds=minutes * 60,
        jobs=context.plan.jobs,
    )


def _heartbeat(context: StepContext, run_id: UUID) -> None:
    """A cancelled round asks its run to stop, so that the program saves a checkpoint first."""
    try:
        step_heartbeat(context.step)
    except RoundCancelRequested:
        training.run_cancel(run_id=run_id)


def _order(
    context: StepContext, kind: str, config: JsonContract, inputs: Mapping[str, InputRef]
) -> UUID:
    """Models that it names are hashed before the transaction, which may take minutes."""
    document, hashed = training.sources_as_inputs(
        config.to_json(), inputs, beat=lambda: step_heartbeat(context.step)
    )
    with transaction.atomic():
        run = training.run_create(
            line_id=context.line.id,
            round_id=context.round.id,
            kind=kind,
            seed=context.seed,
            config=document,
            inputs=hashed,
        )
        steps = RoundStep.objects.filter(pk=context.step.pk, fence=context.step.fence)
        if not steps.update(run=run.id):
            raise ClaimLost(f"{context.step} was taken over by another worker.")
    context.step.run = run.id
    return run.id


def version_input(version_id: UUID | None, what: str) -> InputRef:
    """A model version as an input of a run, checked against its hash first."""
    if version_id is None:
        raise StepFailed(f"The round has no {what}; an earlier step should have made it.")
    try:
        training.model_version_verify(version_id)
    except training.ArtifactMismatch as error:
        raise StepFailed(str(error)) from error
    return training.input_from_version(training.model_version_get(version_id))


def start_version(context: StepContext, start: StartFrom) -> UUID:
    if start == "incumbent":
        return context.round.incumbent
    if context.line.base_version is None:
        raise StepFailed(f"The line {context.line.name} has no base policy; set one on its page.")
    return context.line.base_version


def step_file(context: StepContext, name: str, rows: Iterable[Mapping[str, Any]]) -> InputRef:
    """Write rows as JSON lines into the round's folder, once: a later attempt uses the same file."""
    return training.input_from_path(_file_written(context, name, rows))


def _file_written(context: StepContext, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    stored = f"rounds/{context.round.id}/{name}"
    path = Path(settings.ARTIFACT_ROOT) / stored
    if not training.artifact_found(stored):
        with file_written(path) as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return path


def suite_inputs(
    context: StepContext, suites: Iterable[LineSuite], name: str
) -> dict[str, InputRef]:
    """Suites as inputs of a run, "suite_1" and on, from files NAME-1.json and on."""
    return {
        f"suite_{n}": step_file(context, f"{name}-{n}.json", [json.loads(suite.content)])
        for n, suite in enumerate(suites, start=1)
    }


def prompts_file(
    context: StepContext, name: str, *, splits: tuple[str, ...], limit: int | None
) -> InputRef:
    """A drawn sample of the line's prompts in the `prompts` format."""
    rows = annotation.prompts_stream(
        line_id=context.line.id, splits=splits, limit=limit, seed=context.seed
    )
    return _prompts_written(context, name, rows, splits)


def gate_prompts_file(context: StepContext, name: str, *, limit: int) -> InputRef:
    """The least worn of the line's evaluation prompts in the same format: fresh ones as far as they go."""
    rows = annotation.gate_prompts_stream(
        line_id=context.line.id, round_id=context.round.id, limit=limit, seed=context.seed
    )
    return _prompts_written(context, name, rows, ("evaluation",))


def _prompts_written(
    context: StepContext, name: str, rows: Iterable[PromptRow], splits: tuple[str, ...]
) -> InputRef:
    path = _file_written(context, name, (row.to_json() for row in rows))
    if path.stat().st_size == 0:
        path.unlink()
        raise StepFailed(
            f"The line has no prompts in the split {' or '.join(splits)}. Import prompts on the Data"
            " page: their split is drawn from the prompt itself."
        )
    return training.input_from_path(path)


def completion_new(
    side: Mapping[str, Any], version: training.ModelVersionRecord, sampling: Mapping[str, Any]
) -> NewCompletion:
    """What a program wrote of one completion, as a completion of this model version."""
    return NewCompletion(
        text=side["text"],
        model_version=version.id,
        artifact_sha256=version.sha256,
        sampling=sampling,
        seed=int(side["seed"]),
        tokens=side["tokens"],
        ended=side["ended"],
    )
