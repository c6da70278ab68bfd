"""Recording decisions, approvals and overrides; nothing here is ever changed later.

Callers enforce roles; these services enforce what no role may do: one person alone overriding, an
override of a check that nobody may override, an approval of what the gate does not let through.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from evaluation.contracts import (
    GateMeasurements,
    GateVerdict,
    Verdict,
)
from evaluation.gates.actors import Actor, actor_key, actor_name
from evaluation.gates.measuring import round_measure
from evaluation.gates.models import (
    Approval,
    Decision,
    GatePolicy,
    Override,
)
from evaluation.gates.policies import gate_policy_current
from evaluation.gates.records import GateError, JudgedRound, OverrideState
from evaluation.gates.selectors import (
    decision_gate,
    decision_require,
    decision_row,
    overrides,
)
from evaluation.gates.services.reasons import require_reason, require_still_lead, share_require
from evaluation.gates.services.registration import (
    ended_tests_settle,
    gate_test_open,
    pair_predictions_keep,
)
from evaluation.policy import gate_decide, require_overridable
from training import facade as training
from web.services import audit_record

OVERRIDE_LONGEST = timedelta(days=30)


def round_verdict(judged: JudgedRound) -> GateVerdict:
    """What the gate would say as of now; no decision is written down. LookupError as in `round_decide`."""
    return _judge(judged)[2]


def round_decide(judged: JudgedRound) -> GateVerdict:
    """Measure the round as of now and judge it by the gate policy that it started under.

    The verdict is written down, unless labels can still change it (`labels_wanted`). LookupError
    while the policy evaluation is missing.
    """
    policy, measurements, verdict = _judge(judged)
    if not verdict.labels_wanted:
        decision_record(judged, policy, measurements, verdict)
    return verdict


def _judge(judged: JudgedRound) -> tuple[GatePolicy, GateMeasurements, GateVerdict]:
    policy = gate_policy_current(judged.line_id, as_of=judged.started_at)
    if judged.candidate is None:
        raise LookupError("The round has no policy evaluation to decide on: it has no candidate.")
    test = gate_test_open(judged, policy.gate_settings)
    pair_predictions_keep(judged, test)
    measurements = round_measure(judged, test)
    return policy, measurements, gate_decide(measurements, policy.gate_settings)


@transaction.atomic
def decision_record(
    judged: JudgedRound,
    policy: GatePolicy,
    measurements: GateMeasurements,
    verdict: GateVerdict,
) -> Decision:
    """Append a verdict as the round's next revision; the same evidence twice is recorded once.

    The two versions that it is about are marked to be kept.
    """
    assert judged.candidate is not None  # it was measured
    newest = decision_row(judged.round_id)
    if newest is not None and newest.evidence_sha256 == verdict.evidence_sha256:
        return newest
    labels = measurements.labels
    row = Decision.objects.create(
        line=judged.line_id,
        round=judged.round_id,
        number=judged.number,
        revision=newest.revision + 1 if newest else 1,
        **verdict.to_json(),
        measurements=measurements.to_json(),
        settings=policy.gate_settings.to_json(),
        policy_version=policy.version,
        tested=labels is not None and labels.labels > 0,
        candidate=judged.candidate,
        incumbent=judged.incumbent,
    )
    for version in {row.candidate, row.incumbent}:
        training.model_version_retain(
            version_id=version, reason=f"the decision of round {row.number} refers to it"
        )
    ended_tests_settle(row.line, before=row.number + 1)
    _audit(row, "gate", "decision_record", {"verdict": row.verdict})
    return row


@transaction.atomic
def approval_record(
    *, round_id: UUID, actor: Actor, approve: bool, reason: str, canary_share: int = 0
) -> None:
    """A lead's answer to a promotion that waits; given once for each decision.

    With a `canary_share` the candidate answers that many percent of the users first.
    GateError when the gate does not let the candidate through, when it was answered otherwise
    before, or when it is declined without a reason.
    """
    decision = Decision.objects.select_for_update().get(pk=decision_require(round_id).pk)
    verdict = decision_gate(decision).verdict
    if verdict != "PROMOTE":
        raise GateError(
            f"Round {decision.number} is {verdict}: only a promotion waits for approval."
        )
    if not approve:
        require_reason(reason, "Declining a promotion")
    answered = Approval.objects.filter(decision=decision).first()
    if answered is None:
        if approve and canary_share:
            share_require(canary_share)
        answered = Approval.objects.create(
            decision=decision,
            actor=actor_key(actor),
            approved=approve,
            reason=reason.strip(),
            canary_share=canary_share if approve else 0,
        )
        detail = {
            "reason": reason.strip(),
            **({"canary_share": canary_share} if canary_share else {}),
        }
        _audit(decision, actor, "approve" if approve else "decline", detail)
    elif (answered.approved, answered.actor) != (approve, actor_key(actor)):
        answer = "approved" if answered.approved else "declined"
        raise GateError(
            f"{actor_name(answered.actor)} has already {answer} round {decision.number}."
        )


@transaction.atomic
def override_request(
    *, round_id: UUID, check_id: str, reason: str, actor: Actor, expires_at: datetime
) -> OverrideState:
    """Ask that one check be let through, on the evidence of the newest decision.

    GateError when the check passed, may never be overridden, has an open request, or when the
    reason or the expiry are missing.
    """
    decision = Decision.objects.select_for_update().get(pk=decision_require(round_id).pk)
    _require_overridable(decision, check_id)
    require_reason(reason, "An override")
    now = timezone.now()
    if not now < expires_at <= now + OVERRIDE_LONGEST:
        raise GateError(
            f"An override expires after now and within {OVERRIDE_LONGEST.days} days; choose a date."
        )
    if decision.overrides.filter(check_id=check_id, expires_at__gt=now).exists():
        raise GateError(f"An override of {check_id} was asked for already; confirm that one.")
    row = Override.objects.create(
        decision=decision,
        check_id=check_id,
        reason=reason.strip(),
        evidence_sha256=decision.evidence_sha256,
        requested_by=actor_key(actor),
        expires_at=expires_at,
    )
    _audit(decision, actor, "override_request", {"check": check_id, "reason": row.reason})
    return next(state for state in overrides(round_id) if state.id == row.pk)


@transaction.atomic
def override_confirm(*, override_id: UUID, actor: Actor) -> Verdict:
    """The second lead's yes; returns the round's verdict with the check let through.

    GateError when it is the person who asked, when that one is no lead any more, when it was confirmed,
    has expired, or when the round has been decided anew on other evidence since.
    """
    row = Override.objects.select_for_update().filter(pk=override_id).first()
    if row is None:
        raise GateError("There is no such override.")
    decision, key = row.decision, actor_key(actor)
    newest = decision_require(decision.round)
    if key == row.requested_by:
        raise GateError("An override needs two different leads; somebody else must confirm it.")
    if row.confirmed_at is not None:
        raise GateError(f"{actor_name(row.confirmed_by)} has confirmed this override already.")
    if row.expires_at <= timezone.now():
        raise GateError("This override has expired; ask for a new one.")
    if newest.evidence_sha256 != row.evidence_sha256:
        raise GateError(
            "The round was decided on newer evidence since; look at it and ask for a new override."
        )
    require_still_lead(row.requested_by, decision.line)
    _require_overridable(decision, row.check_id)
    row.confirmed_by, row.confirmed_at = key, timezone.now()
    row.save(update_fields=["confirmed_by", "confirmed_at"])
    _audit(decision, actor, "override_confirm", {"check": row.check_id})
    return decision_gate(newest).verdict


def _require_overridable(decision: Decision, check_id: str) -> None:
    try:
        require_overridable(check_id)
    except ValueError as error:
        raise GateError(str(error)) from error
    found = decision.gate.check(check_id)
    if found is None:
        raise GateError(f"{check_id} was not asked in round {decision.number}.")
    if found.status == "PASS" or not found.required:
        raise GateError(f"{check_id} does not hold back round {decision.number}.")


def _audit(decision: Decision, actor: Actor, verb: str, detail: dict[str, Any]) -> None:
    audit_record(
        actor=actor_key(actor),
        verb=verb,
        target=f"round {decision.number}",
        line=decision.line,
        detail={**detail, "evidence_sha256": decision.evidence_sha256},
    )
