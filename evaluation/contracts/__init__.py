"""What evaluation measures, what the gate decides, and the record that a report renders.

Standard library only, frozen dataclasses only. The recipes write `PolicyMeasurements` and
`RewardModelMeasurements` as JSON; the site adds what people said (`HumanLabels`) and asks
`evaluation.policy.gate_decide`; a finished round becomes one `RoundRecord`. Everything round-trips
through `to_json` and `from_json`. Times are ISO 8601 in UTC.
"""

from evaluation.contracts.configurations import (
    CONFIGS,
    EvaluatePolicyConfig,
    EvaluateRewardModelConfig,
)
from evaluation.contracts.gate import (
    CheckResult,
    CheckSettings,
    CheckStatus,
    GatePolicySettings,
    GateVerdict,
    Hypothesis,
    Outcomes,
    Verdict,
    Wants,
)
from evaluation.contracts.measurements import (
    GateMeasurements,
    HumanLabels,
    IntegrityFact,
    Interval,
    JudgedPromptWear,
    LengthControl,
    PolicyMeasurements,
    ReliabilityBin,
    RewardModelMeasurements,
    SideSummary,
    SliceAccuracy,
    SplitMeasurements,
)
from evaluation.contracts.record import (
    ApprovalRecord,
    DeploymentRecord,
    EProcessPoint,
    LineageItem,
    OverrideRecord,
    RaterLabels,
    RoundLabels,
    RoundRecord,
    RoundSummary,
    SamplePair,
    SampleSide,
    SettingChange,
    StateEntry,
    TruthColumn,
    WeakerSetting,
)

__all__ = [
    "CONFIGS",
    "ApprovalRecord",
    "CheckResult",
    "CheckSettings",
    "CheckStatus",
    "DeploymentRecord",
    "EProcessPoint",
    "EvaluatePolicyConfig",
    "EvaluateRewardModelConfig",
    "GateMeasurements",
    "GatePolicySettings",
    "GateVerdict",
    "HumanLabels",
    "Hypothesis",
    "IntegrityFact",
    "Interval",
    "JudgedPromptWear",
    "LengthControl",
    "LineageItem",
    "Outcomes",
    "OverrideRecord",
    "PolicyMeasurements",
    "RaterLabels",
    "ReliabilityBin",
    "RewardModelMeasurements",
    "RoundLabels",
    "RoundRecord",
    "RoundSummary",
    "SamplePair",
    "SampleSide",
    "SettingChange",
    "SideSummary",
    "SliceAccuracy",
    "SplitMeasurements",
    "StateEntry",
    "TruthColumn",
    "Verdict",
    "Wants",
    "WeakerSetting",
]
