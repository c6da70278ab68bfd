"""The gate: measurements and thresholds in, one verdict out. Pure, standard library only.

Ship only if people prefer the candidate (G1) and no guardrail is worse than its threshold. A
guardrail passes when its whole interval is on the good side, fails when its whole interval is on
the bad side, and is unresolved in between. PROMOTE: every required check passes. REJECT: one
fails, or one is unresolved and nothing more can be had. INCONCLUSIVE: the rest can still be had.

A new check is one function, one row in `registry`, and its measurement in
`evaluation.contracts.GateMeasurements`.
"""

from evaluation.policy.decision import (
    NOTHING_NEW,
    check_settings,
    gate_decide,
    gate_override,
    require_overridable,
)
from evaluation.policy.online import error_cost, error_level
from evaluation.policy.registry import CHECKS, DEFAULT_CHECKS, NEVER_OVERRIDDEN, NEVER_REQUIRED

__all__ = [
    "CHECKS",
    "DEFAULT_CHECKS",
    "NEVER_OVERRIDDEN",
    "NEVER_REQUIRED",
    "NOTHING_NEW",
    "REQUIRED_FACTS",
    "check_settings",
    "error_cost",
    "error_level",
    "gate_decide",
    "gate_override",
    "require_overridable",
]
