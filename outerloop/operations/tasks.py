"""Retention by schedule, where OUTERLOOP_RETENTION_NIGHTLY asks for it."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings

from .backup.manifest import BackupError
from .retention import retention_carry_out, rule_of_settings

logger = logging.getLogger(__name__)


@shared_task(name="operations.retention")
def retention() -> None:
    if not settings.OUTERLOOP_RETENTION_NIGHTLY:
        return
    try:
        plan = retention_carry_out(rule=rule_of_settings(), actor="schedule")
    except BackupError as error:  # the next night will do
        logger.warning("Retention was put off: %s", error)
        return
    logger.info(
        "Retention removed %d things.", len(plan), extra={"bytes": plan.bytes, "count": len(plan)}
    )
