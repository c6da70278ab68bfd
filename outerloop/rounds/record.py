"""A round as the frozen record that reports render: what the rounds know, filled in by evaluation."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from evaluation import facade as evaluation
from evaluation.contracts import (
    LineageItem,
    PolicyMeasurements,
    RoundLabels,
    RoundRecord,
    RoundSummary,
    SettingChange,
    TruthColumn,
    Verdict,
)
from training import facade as training

from .models import PolicyLine, Round, State
from .plan import plan_differences
from .runs import judged_round, step_run_record
from .selectors import last_round, round_steps

# Step of the round -> first word of the phase whose events are its curve; "" for the run's own kind.
CURVES = {State.REWARD_TRAINING: "train", State.POLICY_TRAINING: ""}


def record_refresh(round_: Round) -> RoundRecord:
    """Build the record as of now and hand it to the reports; the same record is stored once."""
    record = record_build(round_)
    evaluation.report_store(record=record)
    return record


def record_build(round_: Round) -> RoundRecord:
    line = round_.line
    begun = RoundRecord(
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
        states=round_steps(round_),
        settings=round_.plan,
        settings_changed=_settings_changed(round_),
        labels=_labels(round_),
        training_curves=_curves(round_),
        lineage=_lineage(round_),
        truth=TruthColumn.from_json(round_.truth) if round_.truth and line.simulated else None,
        history=_history(line, upto=round_),
        trigger=round_.get_trigger_display(),
    )
    return evaluation.record_judged(begun, judged_round(round_))


def _settings_changed(round_: Round) -> tuple[SettingChange, ...]:
    previous = last_round(round_.line, before=round_)
    if previous is None:
        return ()
    return tuple(SettingChange(*row) for row in plan_differences(previous.plan, round_.plan))


def _labels(round_: Round) -> RoundLabels | None:
    """The preferences that the round learned from, by its snapshot."""
    if round_.snapshot is None:
        return None
    snapshot = training.snapshot_get(round_.snapshot)
    ties = int(snapshot.counts.get("ties", 0))
    return RoundLabels(training=snapshot.rows, fresh=round_.fresh_labels, ties=ties)


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
    evidence = evaluation.decided_on(round_.id)
    policy = evidence.policy if evidence else None
    labels = evidence.labels if evidence else None
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


def _version_name(version_id: UUID | None) -> str:
    return training.model_version_get(version_id).name if version_id else ""
