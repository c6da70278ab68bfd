"""G7: whether the reward that was optimised and the one that was not move together."""

from __future__ import annotations

from evaluation.contracts import GateMeasurements, GatePolicySettings, RewardMismatch
from evaluation.formatting import count, number
from evaluation.policy.findings import Finding, Thresholds


def check_mismatch(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G7: correlation of the steps of both rewards, and whether they part at the candidate."""
    found = m.mismatch
    parting = _parting(found, t) if found else ""
    if found is None or found.correlation is None:
        return _not_in_force(found, parting)
    correlation = found.correlation
    measured = (
        f"correlation of steps {number(correlation)} over {len(found.checkpoints)} checkpoints"
    )
    if parting:
        return Finding("FAIL", measured, parting, interval=correlation)
    floor = t["correlation"]
    if correlation.high < floor:
        sentence = "From checkpoint to checkpoint the two rewards move against each other."
        if floor:
            sentence = (
                f"From checkpoint to checkpoint the two rewards correlate by less than {floor:g}."
            )
        return Finding("FAIL", measured, sentence, interval=correlation)
    sentence = "The two rewards are not shown to move against each other."
    if correlation.low > 0:
        sentence = "Where the training reward rose, the held-out reward mostly rose as well."
    return Finding("PASS", measured, sentence, interval=correlation)


def _parting(found: RewardMismatch, t: Thresholds) -> str:
    """What is said where the rewards part at the end; empty where they do not."""
    if found.parted < t["running"]:
        return ""
    return (
        f"Over the last {found.parted} steps before the candidate the training reward rose each time "
        "while the held-out reward fell."
    )


def _not_in_force(found: RewardMismatch | None, parting: str) -> Finding:
    scored = len(found.checkpoints) if found else 0
    sentence = (
        f"The mismatch of the rewards was not watched: both were measured at {count(scored, 'checkpoint')}"
        " up to the candidate, and a correlation of steps takes 12 that differ."
    )
    return Finding("UNRESOLVED", "not measured", sentence, advisory=parting, in_force=False)
