"""Moving a line's pointer, forward and back, in one transaction."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from evaluation.gates.actors import Actor, actor_key, actor_name
from evaluation.gates.canary_models import Canary
from evaluation.gates.models import Approval, Deployment, LinePointer
from evaluation.gates.records import DeploymentKindName, GateError, LineDeployment
from evaluation.gates.selectors import (
    decision_gate,
    decision_require,
    deployment_to_record,
)
from evaluation.gates.services.canary_ends import canary_end
from evaluation.gates.services.shadow_ends import shadow_end
from training import facade as training
from training.facade import ModelVersionRecord
from web.events import Event, event_tell
from web.services import audit_record


def deployment_start(
    *,
    line_id: UUID,
    version_id: UUID,
    kind: DeploymentKindName,
    round_id: UUID | None,
    actor: Actor,
    reason: str = "",
) -> LineDeployment:
    """Check the artifact's files, then move the line's pointer to the version; atomic.

    A second call for the same round, or for the same first policy, returns the first one's
    deployment. A canary that is under way ends with the move: widened where the version is its own,
    overtaken by a rollback; a shadow ends too. GateError when the gate does not let it through;
    `ArtifactMismatch` when a file on disk is not the one that was registered.
    """
    version = version_require(line_id, version_id)
    with transaction.atomic():
        pointer = pointer_lock(line_id)
        done = _already_done(pointer, version_id, kind, round_id)
        if done is not None:
            return deployment_to_record(done)
        _REQUIREMENTS[kind](pointer, version_id, round_id, reason)
        row = Deployment.objects.create(
            line=line_id,
            version=version_id,
            artifact_sha256=version.sha256,
            kind=kind,
            round=round_id,
            previous=pointer.deployment,
            actor=actor_key(actor),
            reason=reason.strip(),
        )
        _canary_follow(row)
        shadow_end(line_id, actor=row.actor)
        pointer.deployment = row
        pointer.save(update_fields=["deployment", "moved_at"])
        training.model_version_retain(version_id=version_id, reason="it is or was deployed")
        _audit(row, version)
        _tell(row, version)
    return deployment_to_record(row)


def rollback(*, line_id: UUID, to_version: UUID, actor: Actor, reason: str) -> LineDeployment:
    """Deploy again what was deployed before; the same act as deploying, backwards."""
    return deployment_start(
        line_id=line_id,
        version_id=to_version,
        kind="rollback",
        round_id=None,
        actor=actor,
        reason=reason,
    )


def deployment_mark_served(deployment_id: UUID) -> None:
    """The policy server answered with this version; the first time counts."""
    rows = Deployment.objects.filter(pk=deployment_id)
    rows.filter(served_at=None).update(served_at=timezone.now())
    rows.exclude(served_error="").update(served_error="")


def deployment_mark_failed(deployment_id: UUID, error: str) -> None:
    """The policy server could not be brought to answer with this version."""
    Deployment.objects.filter(pk=deployment_id).update(served_error=error[:2000])


def pointer_lock(line_id: UUID) -> LinePointer:
    """The line's pointer, locked until the transaction ends; made on first use."""
    LinePointer.objects.get_or_create(line=line_id)
    return LinePointer.objects.select_for_update().get(line=line_id)


def version_require(line_id: UUID, version_id: UUID) -> ModelVersionRecord:
    version = training.model_version_get(version_id)
    if version.line_id != line_id or version.kind != "policy":
        raise GateError(
            f"{version.name} is not a policy of this line and cannot be deployed on it."
        )
    training.model_version_verify(version_id)
    return version


def _already_done(
    pointer: LinePointer, version_id: UUID, kind: DeploymentKindName, round_id: UUID | None
) -> Deployment | None:
    rows = Deployment.objects.filter(line=pointer.line, version=version_id, kind=kind)
    if kind == "deploy" and round_id is not None:
        return rows.filter(round=round_id).first()
    return rows.first() if kind == "initial" else None


def _initial_require(
    pointer: LinePointer, version_id: UUID, round_id: UUID | None, reason: str
) -> None:
    if pointer.deployment is not None:
        raise GateError("This line has a deployed policy already; a round has to promote another.")


def deploy_require(
    pointer: LinePointer, version_id: UUID, round_id: UUID | None, reason: str
) -> None:
    if round_id is None:
        raise GateError("A deployment belongs to a round; name the round that promoted the policy.")
    decision = decision_require(round_id)
    verdict = decision_gate(decision).verdict
    if decision.line != pointer.line or decision.candidate != version_id:
        raise GateError(f"Round {decision.number} did not judge this policy.")
    if verdict != "PROMOTE":
        raise GateError(f"Round {decision.number} is {verdict}: the gate lets nothing through.")
    approval = Approval.objects.filter(decision=decision).first()
    if approval is not None and not approval.approved:
        raise GateError(f"{actor_name(approval.actor)} declined round {decision.number}.")
    if pointer.deployment is not None and pointer.deployment.version != decision.incumbent:
        raise GateError(
            f"Round {decision.number} compared with another policy than the one deployed now; "
            "start a new round."
        )
    if Canary.objects.filter(line=pointer.line, outcome="").exclude(round=round_id).exists():
        raise GateError(
            "A canary is under way on this line: widen it or take it back on the page of deployments"
            " first."
        )


def _canary_follow(row: Deployment) -> None:
    """End the canary that is under way, as the pointer moves to where it can only be widened or over."""
    canary = Canary.objects.filter(line=row.line, outcome="").first()
    if canary is not None:
        widened = row.kind == "deploy" and row.round == canary.round
        canary_end(canary, outcome="widened" if widened else "overtaken", actor=row.actor)


def _rollback_require(
    pointer: LinePointer, version_id: UUID, round_id: UUID | None, reason: str
) -> None:
    if not reason.strip():
        raise GateError("A rollback needs a reason; say what went wrong.")
    if pointer.deployment is not None and pointer.deployment.version == version_id:
        raise GateError("This policy is the deployed one; there is nothing to roll back to.")
    if not Deployment.objects.filter(line=pointer.line, version=version_id).exists():
        raise GateError(
            "Only a policy that was deployed on this line before can be rolled back to."
        )


_REQUIREMENTS = {
    "initial": _initial_require,
    "deploy": deploy_require,
    "rollback": _rollback_require,
}


def _audit(row: Deployment, version: ModelVersionRecord) -> None:
    audit_record(
        actor=row.actor,
        verb=f"deployment_{row.kind}",
        target=version.name,
        line=row.line,
        detail={
            "deployment": str(row.pk),
            "version": str(row.version),
            "artifact_sha256": row.artifact_sha256,
            "reason": row.reason,
        },
    )


def _tell(row: Deployment, version: ModelVersionRecord) -> None:
    """Without the reason, which a person wrote."""
    previous = row.previous
    event_tell(
        Event(
            kind="deployment.rolled_back" if row.kind == "rollback" else "deployment.changed",
            line_id=row.line,
            data={
                "deployment": str(row.pk),
                "kind": row.kind,
                "version": str(row.version),
                "version_name": version.name,
                "artifact_sha256": row.artifact_sha256,
                "previous_version": str(previous.version) if previous else None,
                "round": str(row.round) if row.round else None,
            },
            url=reverse("gates:deployments", args=[row.line]),
        )
    )
