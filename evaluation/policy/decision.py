"""All checks combined into one verdict."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from evaluation.contracts import (
    CheckResult,
    CheckSettings,
    GateMeasurements,
    GatePolicySettings,
    GateVerdict,
    Verdict,
)
from evaluation.policy.registry import (
    CHECKS,
    DEFAULT_CHECKS,
    FORMER_THRESHOLDS,
    NEVER_OVERRIDDEN,
    NEVER_REQUIRED,
)
from training.contracts import json_sha256, require_finite

NOTHING_NEW = (
    "The candidate's files are the incumbent's, byte for byte: there is nothing to promote."
)


def check_settings(settings: GatePolicySettings) -> dict[str, CheckSettings]:
    """The settings of every check with defaults filled in; ValueError names what is unknown.

    `FORMER_THRESHOLDS` of policies saved by earlier releases are left out.
    """
    for check_id, given in settings.checks.items():
        if check_id not in DEFAULT_CHECKS:
            raise ValueError(f"unknown check {check_id!r}; known: {', '.join(DEFAULT_CHECKS)}.")
        known = DEFAULT_CHECKS[check_id].thresholds
        for name in given.thresholds.keys() - known.keys():
            if (check_id, name) not in FORMER_THRESHOLDS:
                raise ValueError(
                    f"{check_id} has no threshold {name!r}; it has: {', '.join(known)}."
                )
    filled = {}
    for check_id, default in DEFAULT_CHECKS.items():
        chosen = settings.checks.get(check_id, default)
        thresholds = {
            name: chosen.thresholds.get(name, value) for name, value in default.thresholds.items()
        }
        required = default.required is not False if chosen.required is None else chosen.required
        filled[check_id] = replace(chosen, required=required, thresholds=thresholds)
    if not (filled["G0"].enabled and filled["G0"].required):
        raise ValueError("G0 (integrity) cannot be switched off or made advisory.")
    for check_id in NEVER_REQUIRED:
        if filled[check_id].required:
            raise ValueError(
                f"{check_id} ({CHECKS[check_id].name}) only advises; it cannot be required."
            )
    return filled


def gate_decide(measurements: GateMeasurements, settings: GatePolicySettings) -> GateVerdict:
    """Run every enabled check and combine them; identical files are never promoted.

    Labels of a policy against itself are coin flips: a gate that looks often enough is bound to see
    a lucky streak at its error level. ValueError names a measurement that is not a finite number.
    """
    filled = check_settings(settings)
    read = measurements.to_json()
    require_finite(read, "measurements")
    results = tuple(
        _run_check(check_id, measurements, settings, chosen)
        for check_id, chosen in filled.items()
        if chosen.enabled
    )
    evidence = json_sha256({"measurements": read, "settings": settings.to_json()})
    return _verdict(results, measurements, evidence)


def gate_override(
    decided: GateVerdict, measurements: GateMeasurements, *, overridden: Collection[str]
) -> GateVerdict:
    """`decided` with the checks marked that two leads let through, and combined again.

    The recorded checks stand as they are: a later release's thresholds and statistics change no
    verdict of before. ValueError for a check that is unknown or may never be overridden.
    """
    for check_id in overridden:
        require_overridable(check_id)
    results = tuple(
        replace(check, overridden=check.id in overridden and check.status != "PASS")
        for check in decided.checks
    )
    return _verdict(results, measurements, decided.evidence_sha256)


def _verdict(
    results: tuple[CheckResult, ...], measurements: GateMeasurements, evidence: str
) -> GateVerdict:
    verdict, reasons = _combine(results, measurements)
    if verdict == "PROMOTE" and measurements.candidate_sha256 == measurements.incumbent_sha256:
        verdict, reasons = "REJECT", (NOTHING_NEW,)
    open_wants = [r.wants for r in _blocking(results) if r.wants != "nothing"]
    wants = tuple(dict.fromkeys(open_wants)) if verdict == "INCONCLUSIVE" else ()
    return GateVerdict(verdict, results, reasons, evidence, wants)


def require_overridable(check_id: str) -> None:
    if check_id in NEVER_OVERRIDDEN:
        raise ValueError(f"{check_id} cannot be overridden by anybody.")
    if check_id not in CHECKS:
        raise ValueError(f"unknown check {check_id!r}; known: {', '.join(CHECKS)}.")


def _run_check(
    check_id: str,
    measurements: GateMeasurements,
    settings: GatePolicySettings,
    chosen: CheckSettings,
) -> CheckResult:
    check = CHECKS[check_id]
    found = check.decide(measurements, settings, chosen.thresholds)
    return CheckResult(
        id=check_id,
        name=check.name,
        question=check.question,
        link=check.link,
        required=bool(chosen.required) and found.in_force,
        status=found.status,
        measured=found.measured,
        sentence=found.sentence,
        wants=found.wants,
        interval=found.interval,
        thresholds=found.thresholds or chosen.thresholds,
        advisory=found.advisory,
        in_force=found.in_force,
        overridable=check_id not in NEVER_OVERRIDDEN,
    )


def _blocking(results: tuple[CheckResult, ...]) -> list[CheckResult]:
    return [r for r in results if r.required and not r.overridden and r.status != "PASS"]


def _combine(
    results: tuple[CheckResult, ...], measurements: GateMeasurements
) -> tuple[Verdict, tuple[str, ...]]:
    blocking = _blocking(results)
    reasons = tuple(f"{r.id} {r.name}: {r.sentence}" for r in blocking)
    if not blocking:
        let_through = [
            f"{r.id} {r.name}: overridden by two leads." for r in results if r.overridden
        ]
        return "PROMOTE", ("Every required check passes.", *let_through)
    if any(r.status == "FAIL" for r in blocking):
        failed = [r for r in blocking if r.status == "FAIL"]
        return "REJECT", tuple(f"{r.id} {r.name}: {r.sentence}" for r in failed)
    if measurements.labels is not None and measurements.labels.expired:
        return "REJECT", ("The round reached its maximum age.", *reasons)
    if any(r.wants == "nothing" for r in blocking):
        stuck = [r for r in blocking if r.wants == "nothing"]
        return "REJECT", tuple(
            f"{r.id} {r.name}: {r.sentence} Nothing more can be had to resolve it." for r in stuck
        )
    return "INCONCLUSIVE", reasons
