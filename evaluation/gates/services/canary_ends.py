"""How a canary ends; whoever calls holds the lock of the line's pointer."""

from __future__ import annotations

from django.utils import timezone

from evaluation.gates.canary_models import Canary
from evaluation.gates.records import CanaryOutcome
from training import facade as training
from web.services import audit_record


def canary_end(canary: Canary, *, outcome: CanaryOutcome, actor: str) -> bool:
    """Write down how it ended; False where it had ended already. The policy server follows."""
    under_way = Canary.objects.filter(pk=canary.pk, outcome="")
    ended = under_way.update(outcome=outcome, ended_at=timezone.now(), ended_by=actor)
    if ended:
        audit_record(
            actor=actor,
            verb=f"canary_{outcome}",
            target=training.model_version_get(canary.version).name,
            line=canary.line,
            detail={"share": canary.share},
        )
    return bool(ended)
