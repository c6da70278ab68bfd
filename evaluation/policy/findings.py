"""What a check says, and the words and comparisons that checks share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evaluation.contracts import (
    CheckStatus,
    GateMeasurements,
    GatePolicySettings,
    HumanLabels,
    Interval,
    JudgedPromptWear,
    Wants,
)


@dataclass(frozen=True)
class Finding:
    """What a check function found; `gate_decide` adds the check's name and settings.

    A check that is not `in_force` has nothing to rest on (no suite is attached): it blocks nothing.
    """

    status: CheckStatus
    measured: str
    sentence: str
    wants: Wants = "nothing"
    interval: Interval | None = None
    advisory: str = ""
    thresholds: dict[str, float] | None = None  # where they differ from the settings'
    in_force: bool = True


Thresholds = dict[str, float]
CheckFunction = Callable[[GateMeasurements, GatePolicySettings, Thresholds], Finding]


def at_least(interval: Interval, floor: float) -> CheckStatus:
    if interval.low >= floor:
        return "PASS"
    return "FAIL" if interval.high < floor else "UNRESOLVED"


def at_most(interval: Interval, ceiling: float) -> CheckStatus:
    if interval.high <= ceiling:
        return "PASS"
    return "FAIL" if interval.low > ceiling else "UNRESOLVED"


def missing(what: str, wants: Wants) -> Finding:
    return Finding("UNRESOLVED", "not measured yet", f"{what} has not been measured yet.", wants)


def more_samples(measurements: GateMeasurements) -> Wants:
    policy = measurements.policy
    return "samples" if policy is None or policy.more_samples_possible else "nothing"


def more_labels(labels: HumanLabels | None) -> Wants:
    return "labels" if labels is None or not labels_exhausted(labels) else "nothing"


def labels_exhausted(labels: HumanLabels) -> bool:
    return labels.expired or labels.labels_left <= 0


def wear_advisory(wear: JudgedPromptWear | None) -> str:
    """What labels on prompts that earlier rounds have shown are worth; empty where there are none."""
    if wear is None or not wear.seen_before:
        return ""
    return (
        f"{wear.seen_before:,} of {wear.judged:,} prompts had been judged in earlier rounds: the result"
        f" holds for prompts seen before, and {wear.fresh_left:,} fresh ones are left. Import more"
        " evaluation prompts."
    )
