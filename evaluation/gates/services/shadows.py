"""Letting a policy answer a share of the requests unseen: start, end, and keep what became of them."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from evaluation.gates.actors import Actor, actor_key
from evaluation.gates.canary_models import Canary
from evaluation.gates.records import GateError, ShadowCounts, ShadowRecord
from evaluation.gates.services.deployments import pointer_lock, version_require
from evaluation.gates.services.shadow_ends import shadow_end
from evaluation.gates.shadow_models import Shadow, ShadowDay
from evaluation.gates.shadow_selectors import shadow_policies, shadow_running
from training import facade as training
from web.services import audit_record


def shadow_start(*, line_id: UUID, version_id: UUID, share: int, actor: Actor) -> ShadowRecord:
    """Let a policy answer `share` percent of the requests after the deployed one has, unseen by anybody.

    GateError where it is not one of `shadow_policies`, or another shadow or a canary is under way: the policy
    server holds two models at most.
    """
    if not 1 <= share <= 100:
        raise GateError(f"A shadow answers 1 to 100 percent of the requests; {share} is outside.")
    version = version_require(line_id, version_id)
    with transaction.atomic():
        pointer = pointer_lock(line_id)
        if Canary.objects.filter(line=line_id, outcome="").exists():
            raise GateError("A canary is under way on this line: widen it or take it back first.")
        if shadow_running(line_id) is not None:
            raise GateError("A shadow is under way on this line already: end it first.")
        if version_id not in {each.id for each in shadow_policies(line_id)}:
            raise GateError(
                "Only another policy that a round of this line has made can be a shadow."
            )
        assert pointer.deployment is not None  # a gate tests against what is deployed
        row = Shadow.objects.create(
            line=line_id,
            version=version_id,
            beside=pointer.deployment,
            share=share,
            actor=actor_key(actor),
        )
        training.model_version_retain(version_id=version_id, reason="it is or was a shadow")
        audit_record(
            actor=row.actor,
            verb="shadow_start",
            target=version.name,
            line=line_id,
            detail={"requests_share": share},
        )
    found = shadow_running(line_id)
    assert found is not None
    return found


def shadow_stop(*, line_id: UUID, shadow_id: UUID, actor: Actor) -> None:
    """GateError where it has ended."""
    with transaction.atomic():
        pointer_lock(line_id)
        found = shadow_running(line_id)
        if found is None or found.id != shadow_id:
            raise GateError("This shadow is over; nothing has changed.")
        shadow_end(line_id, actor=actor_key(actor))


def shadow_mark_served(shadow_id: UUID) -> None:
    """The policy server answered with it; the first time counts."""
    rows = Shadow.objects.filter(pk=shadow_id)
    rows.filter(served_at=None).update(served_at=timezone.now())
    rows.exclude(served_error="").update(served_error="")


def shadow_mark_failed(shadow_id: UUID, error: str) -> None:
    Shadow.objects.filter(pk=shadow_id).update(served_error=error[:2000])


@transaction.atomic
def shadow_count(*, shadow_id: UUID, counts: ShadowCounts) -> None:
    """Add to what became of today's requests."""
    row, _ = ShadowDay.objects.get_or_create(shadow_id=shadow_id, day=timezone.now().date())
    added = {name: F(name) + value for name, value in vars(counts).items() if value}
    if added:
        ShadowDay.objects.filter(pk=row.pk).update(**added)
