"""The pure gate, with the one rule that needs no threshold: an incumbent is no promotion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from evaluation.contracts import GateMeasurements, GatePolicySettings, GateVerdict
from evaluation.policy import gate_decide

NOTHING_NEW = (
    "The candidate's files are the incumbent's, byte for byte: there is nothing to promote."
)


def gate_policy_decide(
    measurements: GateMeasurements,
    settings: GatePolicySettings,
    *,
    overridden: Collection[str] = (),
) -> GateVerdict:
    """`gate_decide`, except that identical files are never promoted, whatever the labels say.

    Labels of a policy against itself are coin flips; a gate that looks often enough is bound to see
    a lucky streak at its error level.
    """
    verdict = gate_decide(measurements, settings, overridden=overridden)
    identical = measurements.candidate_sha256 == measurements.incumbent_sha256
    if verdict.verdict == "PROMOTE" and identical:
        return replace(verdict, verdict="REJECT", reasons=(NOTHING_NEW,), wants=())
    return verdict
