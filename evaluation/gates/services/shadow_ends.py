"""How a shadow ends; whoever calls holds the lock of the line's pointer."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from evaluation.gates.shadow_models import Shadow
from training import facade as training
from web.services import audit_record


def shadow_end(line_id: UUID, *, actor: str) -> None:
    """End the shadow that is under way, if there is one. The policy server follows."""
    row = Shadow.objects.filter(line=line_id, ended_at=None).first()
    if row is None:
        return
    Shadow.objects.filter(pk=row.pk).update(ended_at=timezone.now(), ended_by=actor)
    audit_record(
        actor=actor,
        verb="shadow_end",
        target=training.model_version_get(row.version).name,
        line=line_id,
    )
