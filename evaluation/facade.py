"""The evaluation room's door: what the rounds and their pages may call."""

from __future__ import annotations

from evaluation.gates.budget import LabelBudget, label_budget, prompts_short
from evaluation.gates.measuring import round_expired
from evaluation.gates.policies import policy_requests_waiting
from evaluation.gates.readings import measurements_read, samples_read
from evaluation.gates.recording import record_judged
from evaluation.gates.records import (
    GateError,
    JudgedRound,
    LineDeployment,
)
from evaluation.gates.selectors import (
    approval_get,
    decided_on,
    deployed_version,
    deployment_current,
    deployments,
    effective_gate,
    overrides,
    overrides_waiting,
    rounds_decided,
    versions_referred,
)
from evaluation.gates.services import (
    approval_record,
    deployment_start,
    gate_policy_save,
    override_confirm,
    override_request,
    round_decide,
    round_verdict,
)
from evaluation.gates.serving.client import (
    policy_healthy,
)
from evaluation.reports.ratings import rounds_rated
from evaluation.reports.selectors import report_exists, report_get
from evaluation.reports.services import report_store
from evaluation.suite_files import SuiteError, suite_read, suite_write

__all__ = [
    "GateError",
    "JudgedRound",
    "LabelBudget",
    "LineDeployment",
    "SuiteError",
    "approval_get",
    "approval_record",
    "decided_on",
    "deployed_version",
    "deployment_current",
    "deployment_start",
    "deployments",
    "effective_gate",
    "gate_policy_save",
    "label_budget",
    "measurements_read",
    "override_confirm",
    "override_request",
    "overrides",
    "overrides_waiting",
    "policy_healthy",
    "policy_requests_waiting",
    "prompts_short",
    "record_judged",
    "report_exists",
    "report_get",
    "report_store",
    "round_decide",
    "round_expired",
    "round_verdict",
    "rounds_decided",
    "rounds_rated",
    "samples_read",
    "suite_read",
    "suite_write",
    "versions_referred",
]
