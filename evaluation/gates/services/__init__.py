"""Writes of the gate: policies, decisions, approvals and overrides, deployments."""

from evaluation.gates.services.canaries import (
    canary_mark_crashed,
    canary_mark_failed,
    canary_mark_served,
    canary_start,
    canary_take_back,
    canary_widen,
)
from evaluation.gates.services.decisions import (
    approval_record,
    override_confirm,
    override_request,
    round_decide,
    round_verdict,
)
from evaluation.gates.services.deployments import (
    deployment_mark_failed,
    deployment_mark_served,
    deployment_start,
    rollback,
)
from evaluation.gates.services.policies import (
    gate_policy_answer,
    gate_policy_request,
    gate_policy_save,
)
from evaluation.gates.services.shadows import (
    shadow_count,
    shadow_mark_failed,
    shadow_mark_served,
    shadow_start,
    shadow_stop,
)

__all__ = [
    "approval_record",
    "canary_mark_crashed",
    "canary_mark_failed",
    "canary_mark_served",
    "canary_start",
    "canary_take_back",
    "canary_widen",
    "deployment_mark_failed",
    "deployment_mark_served",
    "deployment_start",
    "gate_policy_answer",
    "gate_policy_request",
    "gate_policy_save",
    "override_confirm",
    "override_request",
    "rollback",
    "round_decide",
    "round_verdict",
    "shadow_count",
    "shadow_mark_failed",
    "shadow_mark_served",
    "shadow_start",
    "shadow_stop",
]
