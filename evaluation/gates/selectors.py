"""Reads: the gate policy in force, decisions, approvals, overrides, deployments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from evaluation.contracts import (
    ApprovalRecord,
    CheckResult,
    GateMeasurements,
    GatePolicySettings,
    GateVerdict,
    OverrideRecord,
    Verdict,
)
from evaluation.gates.actors import actor_name, actor_names
from evaluation.gates.models import (
    Approval,
    Decision,
    Deployment,
    EvaluationRecord,
    GatePolicy,
    LinePointer,
    Override,
)
from evaluation.gates.records import (
    DecisionRecord,
    DeploymentKindName,
    GateError,
    GatePolicyRecord,
    LineDeployment,
    OverrideState,
)
from evaluation.gates.verdicts import gate_policy_decide

# ------------------------------------------------------------------ gate policies


def gate_policy_current(line_id: UUID, *, as_of: datetime | None = None) -> GatePolicyRecord:
    """The newest version; the built-in default as version 0 where none was saved.

    With `as_of`, the version in force then: a round is judged by the policy that it started under,
    so that nobody moves a threshold while looking at the round's evidence.
    """
    rows = GatePolicy.objects.filter(line=line_id)
    if as_of is not None:
        rows = rows.filter(created_at__lte=as_of)
    row = rows.order_by("-version").first()
    if row is None:
        return GatePolicyRecord(line_id, 0, GatePolicySettings(version=0))
    return _policy_record(row)


def gate_policies(line_id: UUID) -> list[GatePolicyRecord]:
    """Every saved version, newest first."""
    rows = GatePolicy.objects.filter(line=line_id).order_by("-version")
    return [_policy_record(row) for row in rows]


def _policy_record(row: GatePolicy) -> GatePolicyRecord:
    settings = GatePolicySettings.from_json(row.settings)
    return GatePolicyRecord(row.line, row.version, settings, row.created_by, row.created_at)


# -------------------------------------------------------- evaluations and decisions


def evaluation_get(round_id: UUID, kind: str) -> dict[str, Any] | None:
    """The newest measurements of a round as JSON; `kind` is "reward" or "policy"."""
    rows = EvaluationRecord.objects.filter(round=round_id, kind=kind)
    row = rows.order_by("-id").first()
    return row.measurements if row else None


def decision_row(round_id: UUID) -> Decision | None:
    return Decision.objects.filter(round=round_id).order_by("-revision").first()


def decision_require(round_id: UUID) -> Decision:
    row = decision_row(round_id)
    if row is None:
        raise GateError("This round has no decision yet; the gate has to run first.")
    return row


def decision_get(round_id: UUID) -> DecisionRecord | None:
    """The newest revision of a round's decision."""
    row = decision_row(round_id)
    return decision_to_record(row) if row else None


def decision_history(line_id: UUID) -> list[DecisionRecord]:
    """The last revision of each round of a line, oldest round first."""
    return [decision_to_record(row) for row in _last_revisions(line_id)]


def _last_revisions(line_id: UUID) -> QuerySet[Decision]:
    rows = Decision.objects.filter(line=line_id)
    return rows.order_by("number", "round", "-revision").distinct("number", "round")


def error_control_position(*, line_id: UUID, round_number: int) -> tuple[int, int]:
    """Where a round stands in the line's error control: (test number from 1, discoveries before).

    A round counts as a test once a label was weighed in it; a discovery, once people were shown to
    prefer its candidate, whatever the other checks then said.
    """
    before = Decision.objects.filter(line=line_id, number__lt=round_number)
    tests = before.filter(tested=True).values("round").distinct().count()
    found = before.filter(discovered=True).values("round").distinct().count()
    return tests + 1, found


def decision_to_record(row: Decision) -> DecisionRecord:
    verdict = GateVerdict(
        verdict=cast(Verdict, row.verdict),
        checks=tuple(CheckResult.from_json(check) for check in row.checks),
        reasons=tuple(row.reasons),
        evidence_sha256=row.evidence_sha256,
        wants=tuple(row.wants),
    )
    return DecisionRecord(
        id=row.id,
        line_id=row.line,
        round_id=row.round,
        round_number=row.number,
        revision=row.revision,
        verdict=verdict,
        measurements=GateMeasurements.from_json(row.measurements),
        settings=GatePolicySettings.from_json(row.settings),
        policy_version=row.policy_version,
        test_number=row.test_number,
        discoveries=row.discoveries,
        e_level=row.e_level,
        tested=row.tested,
        discovered=row.discovered,
        candidate=row.candidate,
        incumbent=row.incumbent,
        decided_at=row.decided_at,
    )


# -------------------------------------------------------- approvals and overrides


def approval_get(round_id: UUID, *, named: bool = True) -> ApprovalRecord | None:
    """The answer given to the newest revision of the round's decision.

    What is stored for good takes `named=False`: the person's id, so that they can be erased.
    """
    decision = decision_row(round_id)
    row = Approval.objects.filter(decision=decision).first() if decision else None
    if row is None:
        return None
    person = actor_name(row.actor) if named else row.actor
    return ApprovalRecord(person, row.approved, row.at.isoformat(), row.reason)


def overrides(round_id: UUID) -> list[OverrideState]:
    """Every override asked for in a round, newest first; `active` is as of now."""
    rows = Override.objects.filter(decision__round=round_id).select_related("decision")
    now, newest = timezone.now(), decision_row(round_id)
    return [_override_state(row, newest, now) for row in rows.order_by("-requested_at")]


def overrides_active(decision: Decision, at: datetime | None = None) -> list[Override]:
    """Confirmed, unexpired, and asked for on exactly this decision's evidence."""
    rows = decision.overrides.filter(
        confirmed_at__isnull=False,
        expires_at__gt=at or timezone.now(),
        evidence_sha256=decision.evidence_sha256,
    )
    return list(rows)


def effective_verdict(round_id: UUID) -> Verdict:
    """The verdict after confirmed, unexpired overrides of the newest revision's evidence."""
    return effective_gate(round_id).verdict


def effective_gate(round_id: UUID) -> GateVerdict:
    """The gate table with overridden checks marked, decided again from the recorded evidence."""
    row = decision_require(round_id)
    record = decision_to_record(row)
    let_through = sorted({override.check_id for override in overrides_active(row)})
    if not let_through:
        return record.verdict
    return gate_policy_decide(record.measurements, record.settings, overridden=let_through)


def override_records(round_id: UUID) -> list[OverrideRecord]:
    """The round's confirmed overrides as a report keeps them: with the ids of people, not names."""
    rows = Override.objects.filter(decision__round=round_id, confirmed_at__isnull=False)
    found = list(rows.select_related("decision").order_by("confirmed_at"))
    return [
        OverrideRecord(
            check_id=row.check_id,
            reason=row.reason,
            requested_by=row.requested_by,
            confirmed_by=row.confirmed_by,
            expires_at=row.expires_at.isoformat(),
            evidence_sha256=row.evidence_sha256,
            outcome=_outcome(row.decision),
        )
        for row in found
    ]


def _outcome(decision: Decision) -> str:
    """How the overridden candidate did as incumbent of the next round that weighed labels."""
    later = Decision.objects.filter(
        line=decision.line, number__gt=decision.number, incumbent=decision.candidate, tested=True
    )
    row = later.order_by("number", "-revision").first()
    if row is None:
        return ""
    rate = decision_to_record(row).measurements.labels
    share = f"{rate.win_rate.estimate:.0%}" if rate and rate.win_rate else "an unknown share"
    return f"As incumbent of round {row.number} it lost to the next candidate in {share} of labels."


def _override_state(row: Override, newest: Decision | None, now: datetime) -> OverrideState:
    current = newest is not None and row.evidence_sha256 == newest.evidence_sha256
    names = actor_names(key for key in (row.requested_by, row.confirmed_by) if key)
    return OverrideState(
        id=row.id,
        round_id=row.decision.round,
        check_id=row.check_id,
        reason=row.reason,
        evidence_sha256=row.evidence_sha256,
        requested_by=names[row.requested_by],
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        confirmed_by=names.get(row.confirmed_by, ""),
        confirmed_at=row.confirmed_at,
        active=current and row.confirmed_at is not None and row.expires_at > now,
    )


# ------------------------------------------------------------------------ deployments


def deployed_version(line_id: UUID) -> UUID | None:
    current = deployment_current(line_id)
    return current.version_id if current else None


def deployment_current(line_id: UUID) -> LineDeployment | None:
    """What the line's pointer shows."""
    rows = Deployment.objects.filter(pk__in=_pointed(Q(line=line_id))).select_related("previous")
    row = rows.first()
    return deployment_to_record(row) if row else None


def lines_deployed() -> list[UUID]:
    """Every line that has something deployed, the one moved last first."""
    rows = LinePointer.objects.filter(deployment__isnull=False).order_by("-moved_at")
    return list(rows.values_list("line", flat=True))


def deployments(line_id: UUID, *, named: bool = True) -> list[LineDeployment]:
    """Every move of the line's pointer, newest first; `named` as for `approval_get`."""
    rows = list(
        Deployment.objects.filter(line=line_id)
        .select_related("previous")
        .order_by("-started_at", "-pk")
    )
    actors = {row.actor for row in rows}
    names = actor_names(actors) if named else {actor: actor for actor in actors}
    return [deployment_to_record(row, names) for row in rows]


def deployment_get(deployment_id: UUID) -> LineDeployment:
    return deployment_to_record(Deployment.objects.select_related("previous").get(pk=deployment_id))


def _pointed(which: Q) -> QuerySet[LinePointer, UUID | None]:
    return LinePointer.objects.filter(which).values_list("deployment", flat=True)


def deployment_to_record(row: Deployment, names: Mapping[str, str] | None = None) -> LineDeployment:
    return LineDeployment(
        id=row.id,
        line_id=row.line,
        version_id=row.version,
        previous_version_id=row.previous.version if row.previous else None,
        artifact_sha256=row.artifact_sha256,
        kind=cast(DeploymentKindName, row.kind),
        round_id=row.round,
        actor=names[row.actor] if names else actor_name(row.actor),
        reason=row.reason,
        started_at=row.started_at,
        served_at=row.served_at,
        served_error=row.served_error,
    )


# ---------------------------------------------------------------------- retention


def versions_referred() -> set[UUID]:
    """Every model version that is or was deployed, or that a decision is about."""
    decided = Decision.objects.values_list("candidate", "incumbent")
    deployed = Deployment.objects.values_list("version", flat=True)
    return {version for pair in decided for version in pair} | set(deployed)


def runs_referred() -> set[UUID]:
    """The runs whose measurements were recorded as evidence."""
    return set(EvaluationRecord.objects.values_list("run", flat=True))
