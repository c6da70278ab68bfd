"""The evaluation room's door: what the rounds and their pages may call."""

from __future__ import annotations

from evaluation.gates.budget import LabelBudget, label_budget, prompts_short
from evaluation.gates.canary_judging import canaries_judge
from evaluation.gates.canary_selectors import approved_share, canary_running, rounds_widened
from evaluation.gates.judged_pairs import judge_ask
from evaluation.gates.measuring import round_expired
from evaluation.gates.policies import policy_requests_waiting
from evaluation.gates.readings import measurements_read, samples_read
from evaluation.gates.recording import record_judged
from evaluation.gates.records import (
    GateError,
    JudgedRound,
    LineDeployment,
)
from evaluation.gates.rehearsal import (
    GateInForce,
    Rehearsal,
    gate_in_force,
    gate_rehearse,
    mismatch_of,
)
from evaluation.gates.routing import CANARY_SHARES
from evaluation.gates.second_budgets import candidate_unresolved
from evaluation.gates.selectors import (
    approval_get,
    decided_on,
    deployed_version,
    deployment_current,
    deployments,
    effective_gate,
    overrides,
    overrides_waiting,
    round_deployed,
    rounds_decided,
    versions_referred,
)
from evaluation.gates.services import (
    approval_record,
    canary_start,
    deployment_start,
    gate_policy_save,
    override_confirm,
    override_request,
    round_decide,
    round_verdict,
)
from evaluation.gates.serving.client import (
    policy_replicas,
)
from evaluation.reports.listing import listing_mend, listing_wrong
from evaluation.reports.selectors import report_exists, report_get, rounds_rated
from evaluation.reports.services import report_store
from evaluation.reward_suites import reward_suite_read
from evaluation.signal_opinion import signal_opinion_ask
from evaluation.suite_files import SuiteError, suite_read, suite_write
from evaluation.task_suites import (
    TASK_CHECK_MINUTES,
    task_library,
    task_library_missing,
    task_suite_check,
    task_suite_read,
)

__all__ = [
    "CANARY_SHARES",
    "TASK_CHECK_MINUTES",
    "GateError",
    "GateInForce",
    "JudgedRound",
    "LabelBudget",
    "LineDeployment",
    "Rehearsal",
    "SuiteError",
    "approval_get",
    "approval_record",
    "approved_share",
    "canaries_judge",
    "canary_running",
    "canary_start",
    "candidate_unresolved",
    "decided_on",
    "deployed_version",
    "deployment_current",
    "deployment_start",
    "deployments",
    "effective_gate",
    "gate_in_force",
    "gate_policy_save",
    "gate_rehearse",
    "judge_ask",
    "label_budget",
    "listing_mend",
    "listing_wrong",
    "measurements_read",
    "mismatch_of",
    "override_confirm",
    "override_request",
    "overrides",
    "overrides_waiting",
    "policy_replicas",
    "policy_requests_waiting",
    "prompts_short",
    "record_judged",
    "report_exists",
    "report_get",
    "report_store",
    "reward_suite_read",
    "round_decide",
    "round_deployed",
    "round_expired",
    "round_verdict",
    "rounds_decided",
    "rounds_rated",
    "rounds_widened",
    "samples_read",
    "signal_opinion_ask",
    "suite_read",
    "suite_write",
    "task_library",
    "task_library_missing",
    "task_suite_check",
    "task_suite_read",
    "versions_referred",
]
