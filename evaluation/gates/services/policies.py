"""Saving thresholds: every save is a new version, and a weaker one takes two leads.

Callers enforce roles; these services enforce what no role may do: one person alone making the gate
weaker. A process (the demo, a set-up script) signs in as nobody, so that it can only make it stricter.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from evaluation.contracts import GatePolicySettings
from evaluation.gates.actors import Actor, actor_key
from evaluation.gates.bounds import settings_require_bounds
from evaluation.gates.models import GatePolicy, GatePolicyRequest, PolicyAnswer
from evaluation.gates.policies import (
    gate_policy_current,
    policy_requests_waiting,
    request_standing,
)
from evaluation.gates.records import GateError
from evaluation.gates.services.reasons import require_reason, require_still_lead
from evaluation.gates.weakening import weakenings
from web.services import audit_record

REQUEST_HOLDS = timedelta(days=14)
OVER = {
    "confirmed": "It was confirmed already.",
    "declined": "It was declined already.",
    "withdrawn": "It was withdrawn.",
    "expired": "It has expired; ask again.",
    "superseded": "Another gate policy counts since; look at that one and ask again.",
}


def gate_policy_save(
    *,
    line_id: UUID,
    settings: GatePolicySettings,
    actor: Actor,
    expected_version: int | None = None,
) -> GatePolicy:
    """Save `settings`, no weaker than what counts now, as the line's next version.

    `expected_version` is the version that the person looked at. GateError when a threshold is out
    of its bounds or weaker, or when somebody saved another version in between.
    """
    current = _current(line_id, settings, expected_version)
    weaker = weakenings(current.gate_settings, settings)
    if weaker:
        named = " ".join(change.says for change in weaker)
        raise GateError(f"To make the gate weaker takes two leads; ask a second one. {named}")
    return _append(current, settings, actor=actor, request=None)


@transaction.atomic
def gate_policy_request(
    *,
    line_id: UUID,
    settings: GatePolicySettings,
    reason: str,
    actor: AbstractBaseUser,
    expected_version: int,
) -> GatePolicyRequest:
    """Ask a second lead for a policy that is weaker in some setting; until then nothing changes.

    GateError as in `gate_policy_save`, and when the reason is missing, when nothing is weaker, or when
    another request waits.
    """
    current = _current(line_id, settings, expected_version)
    weaker = weakenings(current.gate_settings, settings)
    if not weaker:
        raise GateError("Nothing is weaker in it than now: save it; it needs no second lead.")
    require_reason(reason, "A weaker gate policy")
    if policy_requests_waiting(line_id):
        raise GateError(
            "Another weaker policy waits for a second lead; answer or withdraw that one."
        )
    row = GatePolicyRequest.objects.create(
        line=line_id,
        based_on=current.version,
        settings=replace(settings, version=current.version + 1).to_json(),
        reason=reason.strip(),
        requested_by=actor_key(actor),
        expires_at=timezone.now() + REQUEST_HOLDS,
    )
    said = {"reason": row.reason, "weaker": [change.says for change in weaker]}
    _audit(row, actor, "gate_policy_request", said)
    return row


@transaction.atomic
def gate_policy_answer(
    *, line_id: UUID, request_id: UUID, answer: PolicyAnswer, actor: AbstractBaseUser
) -> GatePolicy | None:
    """A second lead's yes or no, or the first one's withdrawal; a yes makes and gives the version.

    GateError when the request is over, when who asked answers or another person withdraws it, and at a yes
    when who asked is no lead any more.
    """
    requests = GatePolicyRequest.objects.select_for_update()
    row = requests.filter(pk=request_id, line=line_id).first()
    if row is None:
        raise GateError("There is no such request.")
    current = gate_policy_current(line_id)
    standing = request_standing(row, current.version, timezone.now())
    if standing != "waiting":
        raise GateError(f"This weaker policy can be answered no more. {OVER[standing]}")
    _require_the_right_one(row, answer, actor_key(actor))
    if answer == PolicyAnswer.CONFIRMED:
        require_still_lead(row.requested_by, line_id)
    row.answer, row.answered_by, row.answered_at = answer, actor_key(actor), timezone.now()
    row.save(update_fields=["answer", "answered_by", "answered_at"])
    _audit(row, actor, f"gate_policy_{answer}", {})
    if answer != PolicyAnswer.CONFIRMED:
        return None
    settings_require_bounds(row.gate_settings)
    return _append(current, row.gate_settings, actor=actor, request=row)


def _require_the_right_one(row: GatePolicyRequest, answer: PolicyAnswer, key: str) -> None:
    own = key == row.requested_by
    if own and answer != PolicyAnswer.WITHDRAWN:
        raise GateError("A weaker policy needs two different leads; somebody else must answer.")
    if not own and answer == PolicyAnswer.WITHDRAWN:
        raise GateError("Only who asked can withdraw it; decline it instead.")


def _current(line_id: UUID, settings: GatePolicySettings, expected: int | None) -> GatePolicy:
    settings_require_bounds(settings)
    current = gate_policy_current(line_id)
    if expected is not None and expected != current.version:
        raise _saved_meanwhile(current.version)
    return current


def _append(
    current: GatePolicy,
    settings: GatePolicySettings,
    *,
    actor: Actor,
    request: GatePolicyRequest | None,
) -> GatePolicy:
    """The next version; one that was asked for is by who asked, though it counts by another's yes."""
    version = current.version + 1
    settings = replace(settings, version=version)
    try:
        with transaction.atomic():
            saved = GatePolicy.objects.create(
                line=current.line,
                version=version,
                settings=settings.to_json(),
                created_by=request.requested_by if request else actor_key(actor),
                request=request,
            )
            audit_record(
                actor=actor_key(actor),
                verb="gate_policy_save",
                target=f"gate policy {version}",
                line=current.line,
                detail=settings.to_json(),
            )
    except IntegrityError as error:
        raise _saved_meanwhile(version) from error
    return saved


def _saved_meanwhile(version: int) -> GateError:
    return GateError(f"Somebody saved version {version} meanwhile; look at it and save again.")


def _audit(
    row: GatePolicyRequest, actor: AbstractBaseUser, verb: str, detail: dict[str, Any]
) -> None:
    audit_record(
        actor=actor_key(actor),
        verb=verb,
        target=f"gate policy {row.based_on + 1}",
        line=row.line,
        detail=detail,
    )
