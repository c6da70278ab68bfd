"""Letting a promoted policy answer a share of the users first: start, widen, take back.

A canary moves no pointer. Widening it is the ordinary deployment of its round, which moves it.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation import facade as annotation
from evaluation.gates.actors import Actor, actor_key
from evaluation.gates.canary_models import Canary
from evaluation.gates.canary_selectors import canary_running, canary_to_record
from evaluation.gates.canary_watch import canary_watch
from evaluation.gates.records import CanaryRecord, GateError, LineDeployment
from evaluation.gates.services.canary_ends import canary_end
from evaluation.gates.services.deployments import (
    deploy_require,
    deployment_start,
    pointer_lock,
    version_require,
)
from evaluation.gates.services.reasons import share_require
from evaluation.gates.services.shadow_ends import shadow_end
from training import facade as training
from web.services import audit_record

CANARY_DAYS = 7  # from then on it may be widened whatever was shown
OVER = "This canary is over; nothing has changed."


def canary_start(
    *, line_id: UUID, version_id: UUID, round_id: UUID, share: int, actor: Actor
) -> CanaryRecord:
    """Let a promoted policy answer `share` percent of the users; a second call for a round returns its canary.

    GateError where it might not be deployed, where another canary is under way, or where the round's policy
    is deployed already.
    """
    share_require(share)
    version = version_require(line_id, version_id)
    with transaction.atomic():
        pointer = pointer_lock(line_id)
        row = Canary.objects.filter(round=round_id).first()
        if row is not None:
            return canary_to_record(row)
        deploy_require(pointer, version_id, round_id, "")
        if pointer.deployment is None or pointer.deployment.version == version_id:
            raise GateError("A canary needs another deployed policy that answers the other users.")
        shadow_end(line_id, actor=actor_key(actor))  # the policy server holds two models at most
        row = Canary.objects.create(
            line=line_id,
            version=version_id,
            round=round_id,
            beside=pointer.deployment,
            share=share,
            days=CANARY_DAYS,
            actor=actor_key(actor),
        )
        training.model_version_retain(version_id=version_id, reason="it is or was a canary")
        audit_record(
            actor=row.actor,
            verb="canary_start",
            target=version.name,
            line=line_id,
            detail={"share": share, "compared": annotation.signals_on(line_id)},
        )
    return canary_to_record(row)


def canary_widen(*, line_id: UUID, canary_id: UUID, actor: Actor) -> LineDeployment:
    """Deploy it to everybody: once it is shown not worse, or its days are over. GateError otherwise."""
    with transaction.atomic():
        pointer_lock(line_id)
        canary = _under_way(line_id, canary_id)
        shown = canary_watch(canary)
        if not (shown and shown.not_worse) and timezone.now() < canary.widened_from:
            raise GateError(
                "Users' votes have not shown yet that it is not worse; it can be widened all the same from"
                f" {canary.widened_from:%-d %b %Y %H:%M} UTC on."
            )
        return deployment_start(
            line_id=line_id,
            version_id=canary.version_id,
            kind="deploy",
            round_id=canary.round_id,
            actor=actor,
            reason=f"widened from {canary.share}% of the users",
        )


def canary_take_back(*, line_id: UUID, canary_id: UUID, actor: Actor) -> None:
    """The version before answers everybody again. GateError where it has ended."""
    with transaction.atomic():
        pointer_lock(line_id)
        canary = _under_way(line_id, canary_id)
        canary_end(Canary.objects.get(pk=canary.id), outcome="taken_back", actor=actor_key(actor))


def canary_mark_served(canary_id: UUID) -> None:
    """The policy server answered with it; the first time counts."""
    rows = Canary.objects.filter(pk=canary_id)
    rows.filter(served_at=None).update(served_at=timezone.now())
    rows.exclude(served_error="").update(served_error="")


def canary_mark_failed(canary_id: UUID, error: str) -> None:
    """The policy server could not be brought to answer with it."""
    Canary.objects.filter(pk=canary_id).update(served_error=error[:2000])


def canary_mark_crashed(canary_id: UUID, last_words: str) -> None:
    """Its server ended by itself."""
    Canary.objects.filter(pk=canary_id).update(
        served_error=last_words[:2000], crashes=F("crashes") + 1, crashed_at=timezone.now()
    )


def _under_way(line_id: UUID, canary_id: UUID) -> CanaryRecord:
    canary = canary_running(line_id)
    if canary is None or canary.id != canary_id:
        raise GateError(OVER)
    return canary
