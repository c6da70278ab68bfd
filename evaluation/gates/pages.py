"""What the templates get: the rows and records themselves, with the words already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from evaluation.contracts import GatePolicySettings
from evaluation.gates import bounds, selectors
from evaluation.gates.budget import prompts_short
from evaluation.gates.models import GatePolicy
from evaluation.gates.planning import DecisionPlan, decision_plan
from evaluation.gates.policies import gate_policies, policy_requests, policy_weaker
from evaluation.gates.records import LineDeployment, PolicyRequestState
from evaluation.policy import CHECKS, NEVER_OVERRIDDEN, check_settings
from evaluation.policy.registry import Check
from training import facade as training
from web.audit import people_named
from web.registry import line_name


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


def gate_policy_page(policy: GatePolicy) -> GatePolicyPage:
    settings = policy.gate_settings
    history, requests = gate_policies(policy.line), policy_requests(policy.line)
    return GatePolicyPage(
        line_name=line_name(policy.line),
        policy=policy,
        by=_made_by(policy),
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
        versions=tuple((row, _made_by(row)) for row in history),
        weaker=tuple(item.says for item in policy_weaker(policy)),
        waiting=tuple(r for r in requests if r.standing == "waiting"),
        answered=tuple(r for r in requests if r.standing not in ("waiting", "confirmed")),
    )


def _made_by(policy: GatePolicy) -> str:
    """Who saved a version: a lead or a process, or the two leads of a weaker one."""
    second = [policy.request.answered_by] if policy.request else []
    names = people_named([policy.created_by, *second]) if policy.created_by else {}
    return " and ".join(names[key] for key in [policy.created_by, *second] if key)


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


def deployments_page(line_id: UUID) -> DeploymentsPage:
    found = selectors.deployments(line_id)
    current = selectors.deployment_current(line_id)
    listed: set[UUID] = set()
    rows = []
    for deployment in found:
        is_current = current is not None and deployment.id == current.id
        other = current is not None and deployment.version_id != current.version_id
        first = deployment.version_id not in listed
        listed.add(deployment.version_id)
        rows.append(_row(deployment, is_current, can_return=other and first))
    shown = next((row for row in rows if row.state != "past"), None)
    return DeploymentsPage(line_id, line_name(line_id), shown, tuple(rows))


def _row(deployment: LineDeployment, is_current: bool, *, can_return: bool) -> DeploymentRow:
    kinds = {"initial": "First policy", "deploy": "Deployed", "rollback": "Rolled back to"}
    return DeploymentRow(
        deployment=deployment,
        name=training.model_version_get(deployment.version_id).name,
        kind=kinds[deployment.kind],
        state=_state(deployment) if is_current else "past",
        can_return=can_return,
    )


def _state(deployment: LineDeployment) -> str:
    if deployment.served_error:
        return "failing"
    return "serving" if deployment.served_at else "starting"
