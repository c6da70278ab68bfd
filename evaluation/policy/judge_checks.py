"""G15: what an LLM judge that was held against people's labels says. It advises; it never decides."""

from __future__ import annotations

from collections.abc import Iterator

from evaluation.contracts import (
    LEAST_LABELS,
    GateMeasurements,
    GatePolicySettings,
    JudgeMeasurements,
)
from evaluation.formatting import count, points, share
from evaluation.policy.findings import Finding, Thresholds, at_least


def check_judge(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G15: the judge's win rate put right by people's labels; the raw one gives no verdict."""
    found = m.judge
    if found is None:
        return _nothing("not asked", "No LLM judge was asked.")
    if found.win_rate is None:
        why = found.reason or "too few of its answers could be read."
        return _nothing("not measured", f"The LLM judge was not measured: {why}")
    raw = f"raw {share(found.win_rate)}"
    if found.corrected is None:
        return _nothing(f"{raw}; not calibrated", not_calibrated(found))
    status = at_least(found.corrected, t["win_rate"])
    said = {"PASS": "sees", "FAIL": "does not see", "UNRESOLVED": "does not surely see"}[status]
    return Finding(
        status,
        f"corrected {share(found.corrected)}, {raw}; agrees with people in {share(found.agreement)}",
        f"Put right by {count(found.labels, 'label')} of people, the judge {said} the candidate preferred"
        f" in {t['win_rate']:.0%} of pairs.",
        interval=found.corrected,
        advisory=" ".join(_warnings(found, t)),
    )


def not_calibrated(found: JudgeMeasurements) -> str:
    """Why nothing is said of what the judge's verdicts are worth."""
    if found.labels < LEAST_LABELS:
        need = f"people have compared {found.labels} of its pairs, and {LEAST_LABELS} are needed"
    else:
        need = "its labels are of one person or on one prompt group"
    return (
        f"Not calibrated: {need}. Its raw win rate says what a model prefers, not what people do."
    )


def _warnings(found: JudgeMeasurements, t: Thresholds) -> Iterator[str]:
    agreement, ceiling = found.agreement, found.ceiling
    if agreement is None:
        yield "Judge and people never both preferred a side on prompts of two groups."
    elif agreement.low <= 0.5:
        yield "It is not shown to agree with people more often than a coin."
    elif ceiling is not None and agreement.estimate < ceiling.estimate - t["below_ceiling"]:
        yield (
            f"It agrees with people in {agreement.estimate:.0%}, people with each other in"
            f" {ceiling.estimate:.0%}."
        )
    if found.inconsistent is not None and found.inconsistent.estimate > t["inconsistent"]:
        yield (
            f"Its verdict changes with the order of the texts in {found.inconsistent.estimate:.0%} of pairs."
        )
    excess = found.longer_excess
    if excess is not None and excess.low > 0 and excess.estimate > t["longer"]:
        yield f"It prefers the longer text more often than people do, by {points(excess)}."
    if found.unanswered:
        yield f"{count(found.unanswered, 'question')} of {2 * found.asked:,} had no answer."
    if found.unreadable:
        yield f"{count(found.unreadable, 'answer')} gave no verdict that could be read."


def _nothing(measured: str, says: str) -> Finding:
    return Finding("UNRESOLVED", measured, says, in_force=False)
