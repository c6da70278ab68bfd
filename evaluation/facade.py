"""The evaluation room's door: what the rounds and their pages may call."""

from __future__ import annotations

from evaluation.gates.gate import gate_measure, gate_trajectory, gate_verdict
from evaluation.gates.quality import LabelQuality, gold_question_accuracy, label_quality
from evaluation.gates.records import (
    DecisionRecord,
    GateError,
    GatePolicyRecord,
    LineDeployment,
    OverrideState,
)
from evaluation.gates.selectors import (
    approval_get,
    decision_get,
    decision_history,
    deployed_version,
    deployment_current,
    deployment_get,
    deployments,
    effective_gate,
    effective_verdict,
    evaluation_get,
    gate_policies,
    gate_policy_current,
    override_records,
    overrides,
    runs_referred,
    versions_referred,
)
from evaluation.gates.services import (
    approval_record,
    decision_record,
    deployment_mark_failed,
    deployment_mark_served,
    deployment_start,
    evaluation_record,
    gate_policy_save,
    override_confirm,
    override_request,
    rollback,
)
from evaluation.gates.serving.client import (
    PolicyUnavailable,
    policy_ask,
    policy_healthy,
    policy_wait,
)
from evaluation.reports.records import ReportRecord
from evaluation.reports.selectors import report_get, report_history
from evaluation.reports.services import report_store

__all__ = [
    "DecisionRecord",
    "GateError",
    "GatePolicyRecord",
    "LabelQuality",
    "LineDeployment",
    "OverrideState",
    "PolicyUnavailable",
    "ReportRecord",
    "approval_get",
    "approval_record",
    "decision_get",
    "decision_history",
    "decision_record",
    "deployed_version",
    "deployment_current",
    "deployment_get",
    "deployment_mark_failed",
    "deployment_mark_served",
    "deployment_start",
    "deployments",
    "effective_gate",
    "effective_verdict",
    "evaluation_get",
    "evaluation_record",
    "gate_measure",
    "gate_policies",
    "gate_policy_current",
    "gate_policy_save",
    "gate_trajectory",
    "gate_verdict",
    "gold_question_accuracy",
    "label_quality",
    "override_confirm",
    "override_records",
    "override_request",
    "overrides",
    "policy_ask",
    "policy_healthy",
    "policy_wait",
    "report_get",
    "report_history",
    "report_store",
    "rollback",
    "runs_referred",
    "versions_referred",
]
