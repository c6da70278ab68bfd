"""What of earlier rounds the evaluation of a policy reads again: reward models, and what candidates wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from evaluation import facade as evaluation
from evaluation.contracts import PAST_POLICY, PAST_REWARD_MODEL
from outerloop.rounds.claims import step_heartbeat
from outerloop.rounds.models import Round, State
from outerloop.rounds.runs import step_run_record
from outerloop.rounds.steps.context import StepContext, step_file
from training import facade as training
from training.contracts import InputRef


def past_inputs(context: StepContext) -> dict[str, InputRef]:
    """Of the last decided rounds: an excerpt of what the candidate wrote, empty where it was not kept, and the
    reward model, left out where it was not.

    Only of decided rounds, whose models and runs are kept anyway: so that this round has read them keeps
    nothing from retention that would otherwise go.
    """
    config = context.plan.evaluate_policy
    found: dict[str, InputRef] = {}
    for earlier in _rounds(context)[: config.past_rounds]:
        step_heartbeat(context.step)
        rows = _written(earlier, most=config.past_prompts)
        name = f"past-policy-{earlier.number}.jsonl"
        found[f"{PAST_POLICY}{earlier.number}"] = step_file(context, name, rows)
        model = _model(earlier.reward_model)
        if model is not None:
            found[f"{PAST_REWARD_MODEL}{earlier.number}"] = model
    return found


def _rounds(context: StepContext) -> Any:
    """The decided rounds before this one that evaluated a policy, the last first."""
    evaluated = context.line.rounds.filter(
        number__lt=context.round.number,
        steps__name=State.POLICY_EVALUATION,
        steps__run__isnull=False,
    )
    return evaluated.exclude(verdict="").order_by("-number")


def _written(earlier: Round, *, most: int) -> Iterator[dict[str, Any]]:
    """The candidate's first reply to each of the first `most` prompts."""
    run = step_run_record(earlier, State.POLICY_EVALUATION)
    if run is None:
        return
    try:
        for row in evaluation.samples_read(run):
            if row["sample"] > 0:
                continue
            if most == 0:
                return
            most -= 1
            text = row["candidate"]["text"]
            yield {"messages": row["messages"], "text": text, "group": row["group"]}
    except (FileNotFoundError, LookupError, training.ArtifactMismatch):
        return  # removed by retention: the report says so


def _model(version_id: UUID | None) -> InputRef | None:
    if version_id is None:
        return None
    try:
        training.model_version_verify(version_id)
    except training.ArtifactMismatch:
        return None
    return training.input_from_version(training.model_version_get(version_id))
