"""The part of a round's frozen record that evaluation knows: measured, said, decided and deployed.

What people did is kept with their ids, never their names, so that erasing a person changes no report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from django.db.models import Q

from annotation import facade as annotation
from annotation.contracts import GateLabel
from evaluation.contracts import (
    DeploymentRecord,
    EProcessPoint,
    Interval,
    OverrideRecord,
    PolicyMeasurements,
    RewardModelMeasurements,
    RoundLabels,
    RoundRecord,
    SamplePair,
)
from evaluation.gates.models import Decision, Deployment, GateTest, Override
from evaluation.gates.outcomes import (
    Outcome,
    label_trajectory,
    outcomes_from_labels,
    rater_verdicts,
)
from evaluation.gates.policies import gate_policy_current, policy_weaker
from evaluation.gates.quality import label_quality
from evaluation.gates.readings import highlights_read, measurements_read
from evaluation.gates.records import JudgedRound
from evaluation.gates.remarks import round_remarks
from evaluation.gates.second_budgets import evidence_so_far, outcomes_so_far
from evaluation.gates.selectors import (
    approval_get,
    decision_gate,
    decision_row,
    gate_test,
)
from training import facade as training
from web.records import record_of

FEW_RATERS = 8
WIDE = 0.1  # an interval of accuracy wider than this says little


def record_judged(begun: RoundRecord, judged: JudgedRound) -> RoundRecord:
    """`begun`, which holds what the rounds know, with all that evaluation knows."""
    labels = annotation.gate_labels(round_id=judged.round_id)
    outcomes = _outcomes(judged, labels)
    policy, reward = judged.policy_run, judged.reward_run
    measured = measurements_read(reward, RewardModelMeasurements) if reward else None
    approval = approval_get(judged.round_id)
    test = gate_test(judged.round_id)
    in_force = gate_policy_current(judged.line_id, as_of=judged.started_at)
    return replace(
        _decided(begun, decision_row(judged.round_id)),
        labels=_labels(begun.labels, judged, gate=len(labels)),
        reward_model=measured,
        policy=measurements_read(policy, PolicyMeasurements) if policy else None,
        trajectory=_trajectory(test) if test else (),
        verdicts=rater_verdicts(outcomes),
        weaker=policy_weaker(in_force),
        overrides=tuple(_overrides(judged.round_id)),
        approvals=(approval,) if approval else (),
        deployments=tuple(_deployments(judged)),
        samples=_samples(policy, outcomes) if policy else (),
        remarks=round_remarks(
            annotation.training_remarks(
                line_id=judged.line_id, since=judged.fresh_since, until=judged.started_at
            ),
            labels,
            candidate=judged.candidate,
            incumbent=judged.incumbent,
        ),
        limits=_limits(begun.simulated, measured, labels) + _left_out(judged.round_id),
    )


def _trajectory(test: GateTest) -> tuple[EProcessPoint, ...]:
    so_far = evidence_so_far(test)
    return label_trajectory(
        outcomes_so_far(test, so_far),
        settings=test.gate_settings,
        aim=so_far.aim,
        predictions=so_far.predictions,
    )


def _outcomes(judged: JudgedRound, labels: Sequence[GateLabel]) -> list[Outcome]:
    if judged.candidate is None:
        return []
    return outcomes_from_labels(labels, candidate=judged.candidate, incumbent=judged.incumbent)


def _decided(begun: RoundRecord, decision: Decision | None) -> RoundRecord:
    if decision is None:
        return begun
    evidence = decision.evidence
    return replace(
        begun,
        gate_settings=decision.gate_settings,
        gate=decision_gate(decision),
        gate_policy_version=decision.policy_version,
        decided_at=decision.decided_at.isoformat(),
        human=evidence.labels,
        fresh_discrimination=evidence.fresh_discrimination,
        mismatch=evidence.mismatch,
        kl_optimum=evidence.kl_optimum,
        identical_pairs=evidence.identical_pairs,
        wear=evidence.wear,
        judge=evidence.judge,
    )


def _labels(learned: RoundLabels | None, judged: JudgedRound, *, gate: int) -> RoundLabels | None:
    if learned is None:
        return None
    line, until = judged.line_id, judged.started_at
    return label_quality(
        replace(learned, gate=gate),
        votes=annotation.overlap_votes(line_id=line, until=until),
        summary=annotation.label_summary(line_id=line, until=until),
    )


def _overrides(round_id: UUID) -> list[OverrideRecord]:
    """The round's confirmed overrides, in the order of their confirmation."""
    rows = Override.objects.filter(decision__round=round_id, confirmed_at__isnull=False)
    return [
        record_of(
            OverrideRecord,
            row,
            expires_at=row.expires_at.isoformat(),
            outcome=_outcome(row.decision),
        )
        for row in rows.select_related("decision").order_by("confirmed_at")
    ]


def _outcome(decision: Decision) -> str:
    """How the overridden candidate did as incumbent of the next round that weighed labels."""
    later = Decision.objects.filter(
        line=decision.line, number__gt=decision.number, incumbent=decision.candidate, tested=True
    )
    row = later.order_by("number", "-revision").first()
    if row is None:
        return ""
    rate = row.evidence.labels
    share = f"{rate.win_rate.estimate:.0%}" if rate and rate.win_rate else "an unknown share"
    return f"As incumbent of round {row.number} it lost to the next candidate in {share} of labels."


def _deployments(judged: JudgedRound) -> list[DeploymentRecord]:
    """Moves of the pointer that concern this round's candidate, oldest first."""
    concerned = Q(round=judged.round_id)
    if judged.candidate is not None:
        about = Q(version=judged.candidate) | Q(previous__version=judged.candidate)
        concerned |= Q(kind="rollback") & about
    rows = Deployment.objects.filter(concerned, line=judged.line_id).select_related("previous")
    return [
        DeploymentRecord(
            act="rollback" if row.kind == "rollback" else "deploy",
            version=training.model_version_get(row.version).name,
            previous=training.model_version_get(row.previous.version).name if row.previous else "",
            at=row.started_at.isoformat(),
            served_at=row.served_at.isoformat() if row.served_at else "",
            by=row.actor,
        )
        for row in rows.order_by("started_at", "pk")
    ]


def _samples(run: training.RunRecord, outcomes: Sequence[Outcome]) -> tuple[SamplePair, ...]:
    """The pairs that the evaluation picked, with what people said of them."""
    said = {outcome.prompt_id: outcome.value for outcome in outcomes}
    return tuple(
        replace(pair, human_preference=said.get(pair.prompt_id)) for pair in highlights_read(run)
    )


def _limits(
    simulated: bool, reward: RewardModelMeasurements | None, labels: Sequence[GateLabel]
) -> tuple[str, ...]:
    """What the reader should not conclude."""
    limits = [
        "The held-out reward model shares the annotators' biases; it cannot see those.",
    ]
    if simulated:
        limits.append("The annotators of this line are simulated: programs, not people.")
    raters = len({label.rater for label in labels})
    if labels and raters < FEW_RATERS:
        limits.append(
            f"Only {raters} annotators compared the candidate; what they share is not averaged out."
        )
    split = reward.split("test", "validation") if reward else None
    if split is not None and split.accuracy.high - split.accuracy.low > WIDE:
        limits.append(
            f"The reward model's accuracy is known to {_width(split.accuracy)} points only;"
            " more labels on test prompts would narrow it."
        )
    return tuple(limits)


def _left_out(round_id: UUID) -> tuple[str, ...]:
    """What a lead did to the gate's labels while it was undecided: who has seen how it stands could choose."""
    return tuple(
        f"On {each.at.day} {each.at:%B %Y}, before the gate had decided, a lead"
        f" {'took in again' if each.back else 'left out'} {each.labels} of its labels; the evidence was"
        " computed anew over those that count."
        for each in annotation.gate_exclusions(round_id=round_id)
    )


def _width(interval: Interval) -> str:
    return f"{100 * (interval.high - interval.low):.0f}"
