"""What the templates get: plain values, with the words already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from evaluation.gates import bounds, selectors
from evaluation.gates.actors import actor_names
from evaluation.gates.models import GatePolicy
from evaluation.gates.records import LineDeployment
from evaluation.policy import CHECKS, NEVER_OVERRIDDEN, check_settings
from training import facade as training
from web.registry import line_name


@dataclass(frozen=True)
class CheckWords:
    """One check of the gate in words; `use` is "required", "warns" or "off"."""

    id: str
    name: str
    question: str
    link: str
    use: str
    sentences: tuple[str, ...]
    overridable: bool


@dataclass(frozen=True)
class VersionRow:
    version: int
    by: str
    at: datetime | None


@dataclass(frozen=True)
class GatePolicyPage:
    line_id: UUID
    line_name: str
    version: int
    by: str
    at: datetime | None
    round_sentences: tuple[str, ...]
    checks: tuple[CheckWords, ...]
    versions: tuple[VersionRow, ...]


@dataclass(frozen=True)
class DeploymentRow:
    """`state` is "serving", "starting", "failing" (all of the current one) or "past"."""

    version_id: UUID
    name: str
    sha256: str
    kind: str
    by: str
    reason: str
    started_at: datetime
    served_at: datetime | None
    error: str
    state: str
    can_return: bool


@dataclass(frozen=True)
class DeploymentsPage:
    line_id: UUID
    line_name: str
    current: DeploymentRow | None
    rows: tuple[DeploymentRow, ...]
    can_roll_back: bool


def gate_policy_page(record: GatePolicy) -> GatePolicyPage:
    settings = record.gate_settings
    history = selectors.gate_policies(record.line)
    names = actor_names(row.created_by for row in history)
    return GatePolicyPage(
        line_id=record.line,
        line_name=line_name(record.line),
        version=record.version,
        by=names.get(record.created_by, ""),
        at=record.created_at,
        round_sentences=(
            bounds.ALPHA.sentence(settings.alpha),
            bounds.MAX_LABELS.sentence(settings.max_labels),
            bounds.MAX_AGE_HOURS.sentence(settings.max_age_hours),
        ),
        checks=tuple(_check_words(record)),
        versions=tuple(
            VersionRow(row.version, names[row.created_by], row.created_at) for row in history
        ),
    )


def _check_words(record: GatePolicy) -> list[CheckWords]:
    spoken = list(bounds.sentences(record.gate_settings))
    return [
        CheckWords(
            id=check_id,
            name=CHECKS[check_id].name,
            question=CHECKS[check_id].question,
            link=CHECKS[check_id].link.replace("<->", "↔"),
            use=("required" if chosen.required else "warns") if chosen.enabled else "off",
            sentences=tuple(sentence for owner, sentence in spoken if owner == check_id),
            overridable=check_id not in NEVER_OVERRIDDEN,
        )
        for check_id, chosen in check_settings(record.gate_settings).items()
    ]


def deployments_page(line_id: UUID, *, can_roll_back: bool) -> DeploymentsPage:
    found = selectors.deployments(line_id)
    current = selectors.deployment_current(line_id)
    listed: set[UUID] = set()
    rows = []
    for deployment in found:
        is_current = current is not None and deployment.id == current.id
        other = current is not None and deployment.version_id != current.version_id
        first = deployment.version_id not in listed
        listed.add(deployment.version_id)
        rows.append(_row(deployment, is_current, can_return=can_roll_back and other and first))
    shown = next((row for row in rows if row.state != "past"), None)
    return DeploymentsPage(line_id, line_name(line_id), shown, tuple(rows), can_roll_back)


def _row(deployment: LineDeployment, is_current: bool, *, can_return: bool) -> DeploymentRow:
    kinds = {"initial": "First policy", "deploy": "Deployed", "rollback": "Rolled back to"}
    return DeploymentRow(
        version_id=deployment.version_id,
        name=training.model_version_get(deployment.version_id).name,
        sha256=deployment.artifact_sha256,
        kind=kinds[deployment.kind],
        by=deployment.actor,
        reason=deployment.reason,
        started_at=deployment.started_at,
        served_at=deployment.served_at,
        error=deployment.served_error,
        state=_state(deployment) if is_current else "past",
        can_return=can_return,
    )


def _state(deployment: LineDeployment) -> str:
    if deployment.served_error:
        return "failing"
    return "serving" if deployment.served_at else "starting"
