"""Reads: decisions, approvals, overrides, deployments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from evaluation.contracts import (
    ApprovalRecord,
    GateMeasurements,
    GateVerdict,
)
from evaluation.gates.actors import actor_name
from evaluation.gates.models import (
    Approval,
    Decision,
    Deployment,
    DeploymentKind,
    GatePredictions,
    GateTest,
    LinePointer,
    Override,
)
from evaluation.gates.predicting import PairPredictions
from evaluation.gates.records import (
    ErrorControl,
    GateError,
    LineDeployment,
    OverrideState,
)
from evaluation.policy import gate_override
from web.audit import people_named
from web.records import record_of

# -------------------------------------------------------------------------- decisions


def decision_row(round_id: UUID) -> Decision | None:
    return Decision.objects.filter(round=round_id).order_by("-revision").first()


def decision_require(round_id: UUID) -> Decision:
    row = decision_row(round_id)
    if row is None:
        raise GateError("This round has no decision yet; the gate has to run first.")
    return row


def decided_on(round_id: UUID) -> GateMeasurements | None:
    """The evidence that the newest revision of a round's decision was made from."""
    row = decision_row(round_id)
    return row.evidence if row else None


def gate_test(round_id: UUID) -> GateTest | None:
    return GateTest.objects.filter(round=round_id).first()


def pair_predictions(round_id: UUID) -> PairPredictions | None:
    """What was predicted of a round's pairs; None where its gate policy takes nothing from labels."""
    row = GatePredictions.objects.filter(round=round_id).first()
    return PairPredictions(row.pairs, tuple(row.reference)) if row else None


def error_control(line_id: UUID, *, before: int) -> ErrorControl:
    """What the settled tests of a line's rounds before number `before` came to.

    A round counts once a label was given in it, whatever became of it; as a discovery, once people
    were shown to prefer its candidate, whatever the other checks then said. A test that went on in a
    later round counts once, by what it came to there.
    """
    earlier = GateTest.objects.filter(line=line_id, number__lt=before, labelled__gt=0)
    went_on = GateTest.objects.filter(line=line_id, number__lt=before, continues__isnull=False)
    earlier = earlier.exclude(round__in=went_on.values("continues"))
    found = earlier.aggregate(
        tests=Count("pk"),
        discoveries=Count("pk", filter=Q(discovered=True)),
        spent=Sum("cost", default=0.0),
    )
    return ErrorControl(
        tests=found["tests"], discoveries=found["discoveries"], spent=found["spent"]
    )


# -------------------------------------------------------- approvals and overrides


def approval_get(round_id: UUID) -> ApprovalRecord | None:
    """The answer given to the newest revision of the round's decision.

    It holds the person's id, not their name: it is stored for good, and a person can be erased.
    """
    decision = decision_row(round_id)
    row = Approval.objects.filter(decision=decision).first() if decision else None
    return ApprovalRecord(row.actor, row.approved, row.at.isoformat(), row.reason) if row else None


def overrides(round_id: UUID) -> list[OverrideState]:
    """Every override asked for in a round, newest first; `active` is as of now."""
    rows = Override.objects.filter(decision__round=round_id).select_related("decision")
    now, newest = timezone.now(), decision_row(round_id)
    return [_override_state(row, newest, now) for row in rows.order_by("-requested_at")]


def overrides_waiting(line_id: UUID) -> list[OverrideState]:
    """Those of a line that one lead asked for and a second may still confirm, oldest first."""
    now = timezone.now()
    asked = Override.objects.filter(
        decision__line=line_id, confirmed_at__isnull=True, expires_at__gt=now
    ).select_related("decision")
    found = [(row, decision_row(row.decision.round)) for row in asked.order_by("requested_at")]
    return [
        _override_state(row, newest, now)
        for row, newest in found
        if newest is not None and row.evidence_sha256 == newest.evidence_sha256
    ]


def overrides_active(decision: Decision, at: datetime | None = None) -> list[Override]:
    """Confirmed, unexpired, and asked for on exactly this decision's evidence."""
    rows = decision.overrides.filter(
        confirmed_at__isnull=False,
        expires_at__gt=at or timezone.now(),
        evidence_sha256=decision.evidence_sha256,
    )
    return list(rows)


def effective_gate(round_id: UUID) -> GateVerdict | None:
    """The verdict after confirmed, unexpired overrides of the newest revision's evidence."""
    row = decision_row(round_id)
    return decision_gate(row) if row else None


def decision_gate(row: Decision) -> GateVerdict:
    """The recorded gate table with overridden checks marked, and combined again."""
    let_through = sorted({override.check_id for override in overrides_active(row)})
    if not let_through:
        return row.gate
    return gate_override(row.gate, row.evidence, overridden=let_through)


def _override_state(row: Override, newest: Decision | None, now: datetime) -> OverrideState:
    current = newest is not None and row.evidence_sha256 == newest.evidence_sha256
    names = people_named(key for key in (row.requested_by, row.confirmed_by) if key)
    return record_of(
        OverrideState,
        row,
        round_id=row.decision.round,
        requested_by=names[row.requested_by],
        confirmed_by=names.get(row.confirmed_by, ""),
        active=current and row.confirmed_at is not None and row.expires_at > now,
    )


# ------------------------------------------------------------------------ deployments


def deployed_version(line_id: UUID) -> UUID | None:
    current = deployment_current(line_id)
    return current.version_id if current else None


def deployment_current(line_id: UUID) -> LineDeployment | None:
    """What the line's pointer shows."""
    row = Deployment.objects.filter(pk__in=_pointed(Q(line=line_id))).first()
    return deployment_to_record(row) if row else None


def lines_deployed() -> list[UUID]:
    """Every line that has something deployed, the one moved last first."""
    rows = LinePointer.objects.filter(deployment__isnull=False).order_by("-moved_at")
    return list(rows.values_list("line", flat=True))


def deployments(line_id: UUID) -> list[LineDeployment]:
    """Every move of the line's pointer, newest first."""
    rows = deployments_moved(line_id).order_by("-started_at", "-pk")
    return deployments_to_records(list(rows))


def deployments_moved(line_id: UUID) -> QuerySet[Deployment, Deployment]:
    """The same as rows, each with `superseded`: whether its version was deployed again later."""
    later = Deployment.objects.filter(
        line=line_id, version=OuterRef("version"), started_at__gt=OuterRef("started_at")
    )
    return Deployment.objects.filter(line=line_id).annotate(superseded=Exists(later))


def deployment_of_version(line_id: UUID, version_id: UUID) -> LineDeployment | None:
    """When the version was deployed last on the line."""
    rows = Deployment.objects.filter(line=line_id, version=version_id)
    row = rows.order_by("-started_at").first()
    return deployment_to_record(row) if row else None


def deployments_to_records(rows: Collection[Deployment]) -> list[LineDeployment]:
    names = people_named(row.actor for row in rows)
    return [deployment_to_record(row, names) for row in rows]


def round_deployed(round_id: UUID) -> UUID | None:
    """The version that was deployed because the round promoted it."""
    rows = Deployment.objects.filter(round=round_id, kind=DeploymentKind.DEPLOY)
    return rows.values_list("version", flat=True).first()


def _pointed(which: Q) -> QuerySet[LinePointer, UUID | None]:
    return LinePointer.objects.filter(which).values_list("deployment", flat=True)


def deployment_to_record(row: Deployment, names: Mapping[str, str] | None = None) -> LineDeployment:
    return record_of(
        LineDeployment,
        row,
        actor=names[row.actor] if names else actor_name(row.actor),
    )


# ---------------------------------------------------------------------- retention


def versions_referred() -> set[UUID]:
    """Every model version that is or was deployed, or that a decision is about."""
    decided = Decision.objects.values_list("candidate", "incumbent")
    deployed = Deployment.objects.values_list("version", flat=True)
    return {version for pair in decided for version in pair} | set(deployed)


def rounds_decided() -> set[UUID]:
    """Every round with a decision: its runs are the evidence."""
    return set(Decision.objects.values_list("round", flat=True))
