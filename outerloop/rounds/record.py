"""A round as the frozen record that reports render: gathered here, because only the roof sees all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from annotation import facade as annotation
from annotation.contracts import GateLabel
from evaluation import facade as evaluation
from evaluation.contracts import (
    DeploymentRecord,
    Interval,
    LabelSummary,
    LineageItem,
    PolicyMeasurements,
    RaterLabels,
    RewardModelMeasurements,
    RoundRecord,
    RoundSummary,
    SamplePair,
    SettingChange,
    StateEntry,
    TruthColumn,
    Verdict,
)
from training import facade as training

from .evidence import measurements_load, step_run_record
from .models import PolicyLine, Round, State
from .plan import plan_differences
from .selectors import last_round

# Step of the round -> first word of the phase whose events are its curve; "" for the run's own kind.
CURVES = {State.REWARD_TRAINING: "train", State.POLICY_TRAINING: ""}


def record_refresh(round_: Round) -> RoundRecord:
    """Build the record as of now and hand it to the reports; the same record is stored once."""
    record = record_build(round_)
    evaluation.report_store(record=record)
    return record


def record_build(round_: Round) -> RoundRecord:
    line = round_.line
    reward = _measurements(round_, State.REWARD_EVALUATION, RewardModelMeasurements)
    policy = _measurements(round_, State.POLICY_EVALUATION, PolicyMeasurements)
    decision = evaluation.decision_get(round_.id)
    labels = annotation.gate_labels(round_id=round_.id)
    measured = decision.measurements if decision else None
    return RoundRecord(
        line=line.slug,
        line_id=str(line.id),
        line_name=line.name,
        round_id=str(round_.id),
        number=round_.number,
        state=round_.state,
        created_at=round_.created_at.isoformat(),
        simulated=line.simulated,
        candidate_version=_version_name(round_.candidate),
        incumbent_version=_version_name(round_.incumbent),
        states=_states(round_),
        settings=round_.plan,
        settings_changed=_settings_changed(round_),
        gate_settings=decision.settings if decision else None,
        labels=_labels(round_, len(labels)),
        reward_model=reward,
        training_curves=_curves(round_),
        policy=policy,
        human=measured.labels if measured else None,
        fresh_agreement=measured.fresh_agreement if measured else None,
        trajectory=_trajectory(round_, labels),
        mismatch=measured.mismatch if measured else None,
        gate=evaluation.effective_gate(round_.id) if decision else None,
        overrides=tuple(evaluation.override_records(round_.id)),
        approvals=_approvals(round_),
        deployments=_deployments(round_),
        samples=_samples(round_, labels),
        lineage=_lineage(round_),
        truth=TruthColumn.from_json(round_.truth) if round_.truth and line.simulated else None,
        history=_history(line, upto=round_),
        limits=_limits(round_, reward, labels),
    )


def _measurements(round_: Round, state: State, contract: Any) -> Any:
    run = step_run_record(round_, state)
    return measurements_load(run, contract) if run is not None else None


def _states(round_: Round) -> tuple[StateEntry, ...]:
    return tuple(
        StateEntry(
            name=step.name,
            entered_at=_iso(step.started_at or step.entered_at),
            left_at=_iso(step.finished_at),
            note=step.note,
            read=tuple(step.read),
            wrote=tuple(step.wrote),
        )
        for step in round_.steps.order_by("position")
    )


def _settings_changed(round_: Round) -> tuple[SettingChange, ...]:
    previous = last_round(round_.line, before=round_)
    if previous is None:
        return ()
    return tuple(SettingChange(*row) for row in plan_differences(previous.plan, round_.plan))


def _labels(round_: Round, gate: int) -> LabelSummary | None:
    if round_.snapshot is None:
        return None
    snapshot = training.snapshot_get(round_.snapshot)
    summary = annotation.label_summary(line_id=round_.line_id, until=round_.created_at)
    quality = evaluation.label_quality(
        votes=annotation.overlap_votes(line_id=round_.line_id, until=round_.created_at),
        summary=summary,
    )
    return LabelSummary(
        training=snapshot.rows,
        fresh=round_.fresh_labels,
        gate=gate,
        ties=int(snapshot.counts.get("ties", 0)),
        both_bad=summary.both_bad,
        raters=tuple(
            RaterLabels(
                rater=rater.rater,
                labels=rater.labels,
                agreement=quality.agreement_by_rater.get(rater.rater),
                position_bias=quality.position_bias_by_rater.get(rater.rater),
                median_seconds=rater.median_seconds,
            )
            for rater in summary.raters
        ),
        agreement=quality.agreement,
        krippendorff_alpha=quality.alpha,
        human_ceiling=quality.human_ceiling,
        position_bias=quality.position_bias,
    )


def _curves(round_: Round) -> dict[str, tuple[dict[str, float | None], ...]]:
    curves = {}
    for state, phase in CURVES.items():
        run = step_run_record(round_, state)
        if run is not None:
            curves[run.kind] = tuple(
                {"step": float(event.step), **event.metrics}
                for event in training.run_events(run.id)
                if event.metrics and event.phase.split(" ")[0] == (phase or run.kind)
            )
    return curves


def _trajectory(round_: Round, labels: list[GateLabel]) -> Any:
    if round_.candidate is None or not labels:
        return ()
    return evaluation.gate_trajectory(
        line_id=round_.line_id,
        labels=labels,
        candidate=round_.candidate,
        incumbent=round_.incumbent,
        as_of=round_.created_at,
    )


def _approvals(round_: Round) -> Any:
    approval = evaluation.approval_get(round_.id, named=False)
    return (approval,) if approval else ()


def _deployments(round_: Round) -> tuple[DeploymentRecord, ...]:
    """Moves of the pointer that concern this round's candidate, oldest first."""
    rows = [
        row
        for row in evaluation.deployments(round_.line_id, named=False)
        if row.round_id == round_.id or (row.kind == "rollback" and round_.candidate is not None
        and round_.candidate in (row.version_id, row.previous_version_id))
    ]  # fmt: skip
    return tuple(
        DeploymentRecord(
            act="rollback" if row.kind == "rollback" else "deploy",
            version=_version_name(row.version_id),
            previous=_version_name(row.previous_version_id),
            at=row.started_at.isoformat(),
            served_at=_iso(row.served_at),
            by=row.actor,
        )
        for row in sorted(rows, key=lambda row: row.started_at)
    )


def _samples(round_: Round, labels: list[GateLabel]) -> tuple[SamplePair, ...]:
    """The pairs that the evaluation picked, with what people said of them."""
    run = step_run_record(round_, State.POLICY_EVALUATION)
    if run is None:
        return ()
    path = Path(training.input_from_run(run, "highlights").path)
    pairs = [SamplePair.from_json(row) for row in json.loads(path.read_text())]
    said = _preferences(round_, labels)
    return tuple(replace(pair, human_preference=said.get(pair.prompt_id)) for pair in pairs)


def _preferences(round_: Round, labels: Iterable[GateLabel]) -> dict[str, float]:
    """Prompt id -> 1 where people preferred the candidate, 0.5 a tie, 0 the incumbent."""
    said: dict[str, float] = {}
    for label in labels:
        first = label.slot_versions[0] == round_.candidate
        value = 0.5 if label.value == 4 else float((label.value < 4) == first)
        said.setdefault(str(label.prompt_id), value)
    return said


def _lineage(round_: Round) -> tuple[LineageItem, ...]:
    items = []
    if round_.snapshot is not None:
        snapshot = training.snapshot_get(round_.snapshot)
        items.append(LineageItem("snapshot", "snapshot", snapshot.sha256, str(snapshot.id)))
    versions = [
        ("candidate", round_.candidate),
        ("incumbent", round_.incumbent),
        ("base policy", round_.line.base_version),
        ("reward model", round_.reward_model),
        ("held-out reward model", round_.held_out_reward_model),
    ]
    for name, version_id in versions:
        if version_id is not None:
            version = training.model_version_get(version_id)
            items.append(
                LineageItem(f"{name} ({version.name})", "artifact", version.sha256, str(version.id))
            )
    items += [
        LineageItem(f"{run.kind} spec", "spec", run.spec_sha256, str(run.id))
        for run in training.runs_of_round(round_.id)
    ]
    return tuple(items)


def _history(line: PolicyLine, *, upto: Round) -> tuple[RoundSummary, ...]:
    rounds = line.rounds.filter(number__lte=upto.number).order_by("number")
    return tuple(round_summary(round_) for round_ in rounds)


def round_summary(round_: Round) -> RoundSummary:
    decision = evaluation.decision_get(round_.id)
    policy = decision.measurements.policy if decision else None
    labels = decision.measurements.labels if decision else None
    deployed = [d for d in evaluation.deployments(round_.line_id) if d.round_id == round_.id]
    truth = TruthColumn.from_json(round_.truth) if round_.truth else None
    return RoundSummary(
        number=round_.number,
        verdict=cast(Verdict, round_.verdict) if round_.verdict else None,
        state=round_.state,
        win_rate=labels.win_rate if labels else None,
        kl=policy.kl["reference"].estimate if policy and "reference" in policy.kl else None,
        reward_gap=_reward_gap(policy),
        labels=_snapshot_rows(round_),
        compute_hours=sum(r.seconds for r in training.runs_of_round(round_.id)) / 3600,
        deployed_version=_version_name(deployed[0].version_id) if deployed else "",
        truth_win_rate=truth.win_rate if truth else None,
        held_out_gain=policy.held_out_gain if policy else None,
        **_optimizer(round_),
    )


def _optimizer(round_: Round) -> dict[str, Any]:
    """How the candidate was made and how long that took; nothing where none was trained."""
    run = step_run_record(round_, State.POLICY_TRAINING)
    if run is None:
        return {}
    lora = run.spec["config"].get("adapter", {}).get("kind") == "lora"
    return {"optimizer": run.kind, "adapter": "lora" if lora else "", "policy_seconds": run.seconds}


def _reward_gap(policy: PolicyMeasurements | None) -> float | None:
    return policy.train_gain.estimate - policy.held_out_gain.estimate if policy else None


def _snapshot_rows(round_: Round) -> int:
    return training.snapshot_get(round_.snapshot).rows if round_.snapshot else 0


def _limits(
    round_: Round, reward: RewardModelMeasurements | None, labels: list[GateLabel]
) -> tuple[str, ...]:
    """What the reader should not conclude."""
    limits = [
        "The held-out reward model shares the annotators' biases; it cannot see those.",
    ]
    if round_.line.simulated:
        limits.append("The annotators of this line are simulated: programs, not people.")
    raters = len({label.rater for label in labels})
    if labels and raters < 8:
        limits.append(
            f"Only {raters} annotators compared the candidate; what they share is not averaged out."
        )
    split = reward.split("test", "validation") if reward else None
    if split is not None and split.accuracy.high - split.accuracy.low > 0.1:
        limits.append(
            f"The reward model's accuracy is known to {_width(split.accuracy)} points only;"
            " more labels on test prompts would narrow it."
        )
    return tuple(limits)


def _width(interval: Interval) -> str:
    return f"{100 * (interval.high - interval.low):.0f}"


def _version_name(version_id: UUID | None) -> str:
    return training.model_version_get(version_id).name if version_id else ""


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
