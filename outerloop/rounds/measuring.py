"""Everything that the gate reads about a round, gathered from the other rooms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from annotation import facade as annotation
from annotation.contracts import GateLabel
from evaluation import facade as evaluation
from evaluation.contracts import (
    GateMeasurements,
    GatePolicySettings,
    GateVerdict,
    IntegrityFact,
)
from training import facade as training
from web.clock import database_now

from .evidence import samples_read, step_run_record
from .models import PolicyLine, Round, State
from .plan import RoundPlan


@dataclass(frozen=True)
class Measured:
    """The gate's evidence on a round at this moment, and the verdict on it."""

    measurements: GateMeasurements
    verdict: GateVerdict
    labels: tuple[GateLabel, ...]
    scores: dict[str, tuple[float, float]]


def round_measure(round_: Round, line: PolicyLine, plan: RoundPlan) -> Measured:
    """Measure and decide, changing nothing. LookupError while the policy evaluation is missing."""
    policy_run = step_run_record(round_, State.POLICY_EVALUATION)
    reward_run = step_run_record(round_, State.REWARD_EVALUATION)
    if policy_run is None or round_.candidate is None:
        raise LookupError("The round has no policy evaluation to decide on.")
    labels = annotation.gate_labels(round_id=round_.id)
    scores = train_scores(policy_run)
    measurements = evaluation.gate_measure(
        line_id=line.id,
        round_number=round_.number,
        policy_measurements=_document(policy_run),
        reward_measurements=_document(reward_run) if reward_run else {},
        labels=labels,
        overlap=annotation.overlap_votes(line_id=line.id),
        candidate=round_.candidate,
        incumbent=round_.incumbent,
        labels_remaining=_labels_remaining(round_, line, plan, labels),
        waiting_ends=_expired(round_, line),
        integrity=integrity_facts(round_, policy_run),
        train_scores=scores,
        gold_question_accuracy=evaluation.gold_question_accuracy(
            annotation.label_summary(line_id=line.id)
        ),
        as_of=round_.created_at,
    )
    # The gate policy is the one in force when the round began: nobody moves the bar under a candidate.
    verdict = evaluation.gate_verdict(
        line_id=line.id, measurements=measurements, as_of=round_.created_at
    )
    return Measured(measurements, verdict, tuple(labels), scores)


def train_scores(run: training.RunRecord) -> dict[str, tuple[float, float]]:
    """Prompt id -> train reward of (candidate's, incumbent's) text."""
    return {
        str(row["prompt_id"]): (
            float(row["candidate"]["scores"]["train"]),
            float(row["incumbent"]["scores"]["train"]),
        )
        for row in samples_read(run)
        if row["sample"] == 0
    }


def integrity_facts(round_: Round, policy_run: training.RunRecord) -> tuple[IntegrityFact, ...]:
    """G0: every artifact is what its hash says; no prompt group is both learned from and judged on."""
    return (_hashes_fact(round_), _split_fact(round_, policy_run))


def _hashes_fact(round_: Round) -> IntegrityFact:
    versions = (
        round_.candidate,
        round_.incumbent,
        round_.reward_model,
        round_.held_out_reward_model,
    )
    for version in versions:
        if version is None:
            continue
        try:
            training.model_version_verify(version)
        except training.ArtifactMismatch as error:
            return IntegrityFact("artifact_hashes", False, str(error))
    return IntegrityFact("artifact_hashes", True)


def _split_fact(round_: Round, policy_run: training.RunRecord) -> IntegrityFact:
    if round_.snapshot is None:
        return IntegrityFact("prompt_split", False, "the round has no snapshot")
    learned = _groups(training.snapshot_get(round_.snapshot).path)
    judged = _groups(Path(policy_run.spec["inputs"]["prompts"]["path"]))
    shared = learned & judged
    detail = f"{len(shared)} prompt groups are both learned from and judged on" if shared else ""
    return IntegrityFact("prompt_split", not shared, detail)


def _groups(path: Path) -> set[str]:
    with path.open(encoding="utf-8") as file:
        return {json.loads(line)["group"] for line in file}


def _labels_remaining(
    round_: Round, line: PolicyLine, plan: RoundPlan, labels: Sequence[GateLabel]
) -> int:
    """What the budget and the offered pairs still allow; all of it before the pairs are offered."""
    budget = gate_settings(round_, line).max_labels
    status = annotation.gate_queue_status(round_id=round_.id)
    offered = status.open + status.leased + status.done
    left = status.open + status.leased if offered else plan.gate_pairs
    return max(0, min(budget - len(labels), left))


def _expired(round_: Round, line: PolicyLine) -> bool:
    hours = gate_settings(round_, line).max_age_hours
    since = round_.waiting_since or round_.created_at
    return database_now() - since > timedelta(hours=hours)


def gate_settings(round_: Round, line: PolicyLine) -> GatePolicySettings:
    """The thresholds that this round is judged by: those in force when it began."""
    return evaluation.gate_policy_current(line.id, as_of=round_.created_at).settings


def _document(run: training.RunRecord) -> dict[str, Any]:
    document = json.loads(Path(training.input_from_run(run, "measurements").path).read_text())
    assert isinstance(document, dict)
    return document
