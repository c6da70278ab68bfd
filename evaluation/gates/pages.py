"""What the templates get: the rows and records themselves, with the words already chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.http import QueryDict

from evaluation.contracts import GatePolicySettings
from evaluation.gates import bounds, selectors
from evaluation.gates.budget import prompts_short
from evaluation.gates.canary_pages import CanaryRow, CanaryShown, canary_rows, canary_shown
from evaluation.gates.canary_selectors import canary_running
from evaluation.gates.models import GatePolicy
from evaluation.gates.planning import DecisionPlan, decision_plan
from evaluation.gates.policies import gate_policies_saved, policy_requests, policy_weaker
from evaluation.gates.records import LineDeployment, PolicyRequestState
from evaluation.gates.shadow_pages import ShadowPart, shadow_part
from evaluation.policy import CHECKS, NEVER_OVERRIDDEN, check_settings
from evaluation.policy.registry import Check
from training import facade as training
from web.audit import people_named
from web.paging import page_by_key
from web.registry import line_name

DEPLOYMENTS_SHOWN = 50
VERSIONS_SHOWN = 20


@dataclass(frozen=True)
class CheckWords:
    """One check of the gate in words; `use` is "required", "warns" or "off"."""

    id: str
    check: Check
    link: str
    use: str
    sentences: tuple[str, ...]
    overridable: bool


@dataclass(frozen=True)
class GatePolicyPage:
    """`policy` is the one in force, saved `by` whom; `versions` are the saved ones with who made them.

    `waiting` are the requests for a weaker policy that a second lead may answer, `answered` the others
    that did not come to count; `weaker` says what is weaker now than by default, `prompts_short` where
    the line has too few prompts for it.
    """

    line_name: str
    policy: GatePolicy
    by: str
    round_sentences: tuple[str, ...]
    prompts_short: str
    checks: tuple[CheckWords, ...]
    plan: DecisionPlan
    versions: tuple[tuple[GatePolicy, str], ...]
    newer_query: str
    older_query: str
    weaker: tuple[str, ...]
    waiting: tuple[PolicyRequestState, ...]
    answered: tuple[PolicyRequestState, ...]


@dataclass(frozen=True)
class DeploymentRow:
    """`state` is "serving", "starting", "failing" (all of the current one) or "past"."""

    deployment: LineDeployment
    name: str
    kind: str
    state: str
    can_return: bool


@dataclass(frozen=True)
class DeploymentsPage:
    line_id: UUID
    line_name: str
    current: DeploymentRow | None
    rows: tuple[DeploymentRow, ...]
    newer_query: str
    older_query: str
    canary: CanaryShown | None
    canaries: tuple[CanaryRow, ...]
    shadow: ShadowPart


@dataclass(frozen=True)
class RollbackPage:
    """What is deployed, and what would take its place; `canary` is the name of one that would end."""

    line_id: UUID
    line_name: str
    current_name: str
    name: str
    canary: str


def gate_policy_page(policy: GatePolicy, query: QueryDict) -> GatePolicyPage:
    """Of the saved versions those that `query` (request.GET) asks for."""
    settings, requests = policy.gate_settings, policy_requests(policy.line)
    saved = gate_policies_saved(policy.line)
    page = page_by_key(saved, query=query, fields=("-version",), size=VERSIONS_SHOWN)
    names = people_named({key for row in page.rows for key in _makers(row)})
    return GatePolicyPage(
        line_name=line_name(policy.line),
        policy=policy,
        by=_made_by(policy, people_named(set(_makers(policy)))),
        round_sentences=(
            *(b.sentence(getattr(settings, name)) for name, b in bounds.ROUND_BOUNDS.items()),
            *(
                f"{label}: {bounds.choice_words(name, getattr(settings, name))}."
                for name, (label, _) in bounds.CHOICES.items()
            ),
        ),
        prompts_short=prompts_short(policy.line),
        checks=tuple(_check_words(settings)),
        plan=decision_plan(policy.line, settings),
        versions=tuple((row, _made_by(row, names)) for row in page.rows),
        newer_query=page.newer_query,
        older_query=page.older_query,
        weaker=tuple(item.says for item in policy_weaker(policy)),
        waiting=tuple(r for r in requests if r.standing == "waiting"),
        answered=tuple(r for r in requests if r.standing not in ("waiting", "confirmed")),
    )


def _makers(policy: GatePolicy) -> list[str]:
    """Who saved a version: a lead or a process, or the two leads of a weaker one."""
    second = [policy.request.answered_by] if policy.request else []
    return [key for key in (policy.created_by, *second) if key]


def _made_by(policy: GatePolicy, names: Mapping[str, str]) -> str:
    return " and ".join(names[key] for key in _makers(policy))


def _check_words(settings: GatePolicySettings) -> list[CheckWords]:
    spoken = list(bounds.sentences(settings))
    return [
        CheckWords(
            id=check_id,
            check=CHECKS[check_id],
            link=CHECKS[check_id].link.replace("<->", "↔"),
            use=("required" if chosen.required else "warns") if chosen.enabled else "off",
            sentences=tuple(sentence for owner, sentence in spoken if owner == check_id),
            overridable=check_id not in NEVER_OVERRIDDEN,
        )
        for check_id, chosen in check_settings(settings).items()
    ]


def deployments_page(line_id: UUID, query: QueryDict) -> DeploymentsPage:
    """The moves of the line's pointer that `query` (request.GET) asks for, newest first."""
    moved = selectors.deployments_moved(line_id)
    page = page_by_key(moved, query=query, fields=("-started_at", "-id"), size=DEPLOYMENTS_SHOWN)
    current = selectors.deployment_current(line_id)
    records = selectors.deployments_to_records(page.rows)
    versions = {record.version_id for record in records} | (
        {current.version_id} if current else set()
    )
    names = training.model_version_names(versions)
    rows = [
        _row(record, names, current, superseded=row.superseded)  # type: ignore[attr-defined]
        for row, record in zip(page.rows, records, strict=True)
    ]
    shown = _row(current, names, current, superseded=False) if current else None
    return DeploymentsPage(
        line_id,
        line_name(line_id),
        shown,
        tuple(rows),
        page.newer_query,
        page.older_query,
        canary_shown(line_id),
        canary_rows(line_id),
        shadow_part(line_id),
    )


def rollback_page(line_id: UUID, version_id: UUID) -> RollbackPage | None:
    """None where the version was never deployed on the line, or is the one deployed now."""
    current = selectors.deployment_current(line_id)
    last = selectors.deployment_of_version(line_id, version_id)
    if current is None or last is None or current.version_id == version_id:
        return None
    canary = canary_running(line_id)
    asked = {version_id, current.version_id, *([canary.version_id] if canary else [])}
    names = training.model_version_names(asked)
    return RollbackPage(
        line_id,
        line_name(line_id),
        names[current.version_id],
        names[version_id],
        names[canary.version_id] if canary else "",
    )


def _row(
    deployment: LineDeployment,
    names: Mapping[UUID, str],
    current: LineDeployment | None,
    *,
    superseded: bool,
) -> DeploymentRow:
    kinds = {"initial": "First policy", "deploy": "Deployed", "rollback": "Rolled back to"}
    other = current is not None and deployment.version_id != current.version_id
    return DeploymentRow(
        deployment=deployment,
        name=names[deployment.version_id],
        kind=kinds[deployment.kind],
        state=_state(deployment) if current and deployment.id == current.id else "past",
        can_return=other and not superseded,
    )


def _state(deployment: LineDeployment) -> str:
    if deployment.served_error:
        return "failing"
    return "serving" if deployment.served_at else "starting"
