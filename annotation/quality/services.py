"""Writes: leave a rater's labels out, and take them in again."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.contracts import AnnotationError

from .models import RaterExclusion


@transaction.atomic
def rater_exclude(*, rater: Rater, reason: str, actor: str) -> RaterExclusion:
    """Leave the rater's labels out of snapshots, gates and agreement; nothing is deleted."""
    if not reason.strip():
        raise AnnotationError("Say why this rater is excluded.")
    Rater.objects.select_for_update().get(pk=rater.pk)
    known = RaterExclusion.objects.filter(rater=rater, lifted_at__isnull=True).first()
    if known is not None:
        return known
    exclusion = RaterExclusion.objects.create(
        rater=rater, reason=reason.strip()[:300], excluded_by=actor
    )
    rater.excluded_at = exclusion.excluded_at
    rater.save(update_fields=["excluded_at"])
    return exclusion


@transaction.atomic
def rater_readmit(*, rater: Rater, actor: str) -> None:
    """Let the rater's labels count again; the exclusion stays on record."""
    Rater.objects.select_for_update().get(pk=rater.pk)
    RaterExclusion.objects.filter(rater=rater, lifted_at__isnull=True).update(
        lifted_at=timezone.now(), lifted_by=actor
    )
    rater.excluded_at = None
    rater.save(update_fields=["excluded_at"])
