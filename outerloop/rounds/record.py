"""A round as the frozen record that reports render: what the rounds know, filled in by evaluation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from django.db.models import Min

from evaluation import facade as evaluation
from evaluation.contracts import (
    EarlierSuites,
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

from .models import LineSuite, PolicyLine, Round, State
from .plan import plan_differences
from .runs import judged_round, step_run_record
from .selectors import last_round, round_steps
from .signal_opinion import opinion_of

# Step of the round -> first word of the phase whose events are its curve; "" for the run's own kind.
CURVES = {State.REWARD_TRAINING: "train", State.POLICY_TRAINING: ""}
# A report lists so many rounds, whatever the line's age: what it says of them holds over earlier reports.
LISTED = 50


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
        signal_opinion=opinion_of(round_),
    )
    record = evaluation.record_judged(begun, judged_round(round_))
    return replace(record, suites_before=_suites_before(round_, record))


def _suites_before(round_: Round, record: RoundRecord) -> EarlierSuites | None:
    """What the last earlier round measured on the suites of reward models that this one did."""
    measured = record.reward_model.suites if record.reward_model else ()
    if not measured:
        return None
    digests = {suite.sha256 for suite in measured}
    attached = LineSuite.objects.filter(line=round_.line_id, sha256__in=digests)
    since = attached.aggregate(since=Min("attached_at"))["since"]
    if since is None:
        return None
    earlier = round_.line.rounds.filter(number__lt=round_.number, created_at__gte=since)
    for before in earlier.order_by("-number"):
        kept = evaluation.report_get(before.id)
        suites = kept.reward_model.suites if kept and kept.reward_model else ()
        same = tuple(suite for suite in suites if suite.sha256 in digests)
        if same:
            return EarlierSuites(before.number, same)
    return None


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
    ties, released = (int(snapshot.counts.get(name, 0)) for name in ("ties", "released"))
    return RoundLabels(
        training=snapshot.rows, fresh=round_.fresh_labels, ties=ties, released=released
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
    """The last `LISTED` rounds, and before them those that no report has listed yet."""
    listed = evaluation.rounds_rated(line.id, newest=1)
    after = min(upto.number - LISTED, listed[-1].number if listed else 0)
    rounds = line.rounds.filter(number__gt=after, number__lte=upto.number)
    return tuple(round_summary(round_) for round_ in rounds.order_by("number"))


def round_summary(round_: Round) -> RoundSummary:
    evidence = evaluation.decided_on(round_.id)
    policy = evidence.policy if evidence else None
    labels = evidence.labels if evidence else None
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
        deployed_version=_version_name(evaluation.round_deployed(round_.id)),
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
