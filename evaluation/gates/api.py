"""Deployments of a line, for programs: the current one and every move of the pointer."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema

from evaluation.gates.models import Deployment
from evaluation.gates.selectors import deployment_current, deployment_to_record
from training import facade as training
from web.access import STAFF, require_role
from web.api.access import TokenAuth
from web.api.listing import Cursor, Listing, listed
from web.api.problems import Problem, Refused
from web.tokens import READ

router = Router(tags=["deployments"], auth=TokenAuth(READ))


class DeploymentOut(Schema):
    """`served_at` is null until the policy server first answered with it; `served_error` is its last
    failure to."""

    id: UUID
    version: UUID
    name: str
    artifact_sha256: str
    kind: Literal["initial", "deploy", "rollback"]
    round: UUID | None
    actor: str
    reason: str
    started_at: str
    served_at: str | None
    served_error: str


@router.get(
    "/lines/{line_id}/deployments",
    response={200: Listing[DeploymentOut]},
    url_name="deployments",
)
def deployments_list(
    request: HttpRequest, line_id: UUID, query: Query[Cursor]
) -> Listing[DeploymentOut]:
    """Every move of the line's pointer, newest first."""
    require_role(request, *STAFF, line_id=line_id)
    rows = Deployment.objects.filter(line=line_id)
    return listed(rows, cursor=query, fields=("-started_at", "-id"), shown=_shown)


@router.get(
    "/lines/{line_id}/deployments/current",
    response={200: DeploymentOut, 404: Problem},
    url_name="deployment_current",
)
def deployment_read(request: HttpRequest, line_id: UUID) -> DeploymentOut:
    require_role(request, *STAFF, line_id=line_id)
    current = deployment_current(line_id)
    if current is None:
        raise Refused(404, "Nothing is deployed on this line.")
    return _shown(Deployment.objects.get(pk=current.id))


def _shown(row: Deployment) -> DeploymentOut:
    record = deployment_to_record(row)
    return DeploymentOut(
        id=record.id,
        version=record.version_id,
        name=training.model_version_get(record.version_id).name,
        artifact_sha256=record.artifact_sha256,
        kind=record.kind,
        round=record.round_id,
        actor=record.actor,
        reason=record.reason,
        started_at=record.started_at.isoformat(),
        served_at=record.served_at.isoformat() if record.served_at else None,
        served_error=record.served_error,
    )
