"""The nightly start: one periodic task per line, kept in step with what the line says."""

from __future__ import annotations

import json
import logging
import zoneinfo
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from annotation import facade as annotation
from web.services import audit_record

from .locking import RoundRefused, line_locked
from .models import PolicyLine, Round
from .selectors import active_round
from .services import round_start

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 10
SWEEPERS = {
    "sweep rounds": "rounds.sweep",
    "sweep leases": "comparisons.sweep_leases",
    "count labels": "comparisons.count_labels",
    "measure quality": "quality.measure_again",
    "sweep imports and exports": "exchange.sweep",
    "sweep pushes": "publishing.sweep",
    "send webhooks": "webhooks.send",
}
MESSAGE_DAYS = 1
SCHEDULE_FIELDS = (
    "schedule_enabled",
    "schedule_time",
    "schedule_time_zone",
    "schedule_days",
    "minimum_fresh_labels",
)


def time_zone_validate(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(
            f"{name!r} is no time zone; use a name such as Europe/Berlin or America/New_York."
        )


@transaction.atomic
def schedule_save(*, line: PolicyLine, actor: str) -> None:
    """Store the line's schedule and bring the periodic task in step with it; `RoundRefused` where it would
    start rounds of an archived line."""
    time_zone_validate(line.schedule_time_zone)
    if line.schedule_enabled:
        line_locked(line.pk)
    line.save(update_fields=SCHEDULE_FIELDS)
    crontab, _ = CrontabSchedule.objects.get_or_create(
        minute=str(line.schedule_time.minute),
        hour=str(line.schedule_time.hour),
        day_of_week=line.schedule_days,
        day_of_month="*",
        month_of_year="*",
        timezone=line.schedule_time_zone,
    )
    PeriodicTask.objects.update_or_create(
        name=f"nightly start of {line.slug}",
        defaults={
            "task": "rounds.nightly",
            "crontab": crontab,
            "args": json.dumps([str(line.id)]),
            "enabled": line.schedule_enabled,
            "queue": "default",
        },
    )
    detail = {
        "enabled": line.schedule_enabled,
        "time": line.schedule_time.isoformat(),
        "time_zone": line.schedule_time_zone,
        "days": line.schedule_days,
        "minimum_fresh_labels": line.minimum_fresh_labels,
    }
    audit_record(
        actor=actor, verb="changed schedule", target=line.slug, line=line.id, detail=detail
    )


@transaction.atomic
def line_archive(*, line: PolicyLine, archived: bool, actor: str) -> None:
    """Put a line away with its campaigns, or take it back; what was made and decided stays as it is.

    Its schedule ends with it, and campaigns are taken back one by one. `RoundRefused` while a round is
    active.
    """
    locked = PolicyLine.objects.select_for_update().get(pk=line.pk)
    running = active_round(line)
    if archived and running is not None:
        raise RoundRefused(
            f"{running} is active: wait for its end, or cancel it, before you archive."
        )
    if archived == (locked.archived_at is not None):
        return
    line.archived_at = timezone.now() if archived else None
    line.save(update_fields=["archived_at"])
    if archived:
        annotation.line_campaigns_archive(line_id=line.id)
        annotation.signals_switch(line_id=line.id, on=False, actor=actor, name=line.slug)
        if locked.schedule_enabled:
            line.schedule_enabled = False
            schedule_save(line=line, actor=actor)
    verb = "archived line" if archived else "took back line"
    audit_record(actor=actor, verb=verb, target=line.slug, line=line.id)


def sweeper_ensure() -> None:
    """The periodic tasks that find what a lost message or a dead worker left. How often one runs stays as
    an operator has set it."""
    every, _ = IntervalSchedule.objects.get_or_create(
        every=SWEEP_SECONDS, period=IntervalSchedule.SECONDS
    )
    _retention_schedule()
    for name, task in SWEEPERS.items():
        route = settings.CELERY_TASK_ROUTES.get(task, {})
        kept = {"task": task, "queue": route.get("queue", "default")}
        PeriodicTask.objects.update_or_create(
            name=name,
            defaults=kept,
            create_defaults={**kept, "interval": every, "expire_seconds": SWEEP_SECONDS},
        )


def sweepers_missing() -> list[str]:
    """The names of those periodic tasks that are not in the schedule, or switched off."""
    there = PeriodicTask.objects.filter(name__in=SWEEPERS, enabled=True)
    return sorted(SWEEPERS.keys() - set(there.values_list("name", flat=True)))


def _retention_schedule() -> None:
    """Once a night, switched on by OUTERLOOP_RETENTION_NIGHTLY alone."""
    night, _ = CrontabSchedule.objects.get_or_create(
        minute="30",
        hour="4",
        day_of_week="*",
        day_of_month="*",
        month_of_year="*",
        timezone=settings.TIME_ZONE,
    )
    kept = {
        "task": "operations.retention",
        "queue": "files",
        "enabled": settings.OUTERLOOP_RETENTION_NIGHTLY,
    }
    PeriodicTask.objects.update_or_create(
        name="retention", defaults=kept, create_defaults={**kept, "crontab": night}
    )


def scheduled_start(line_id: UUID) -> Round | None:
    line = PolicyLine.objects.get(pk=line_id)
    if not line.schedule_enabled:
        return None
    try:
        return round_start(line=line, trigger="schedule")
    except RoundRefused as refusal:
        logger.info("line %s: the scheduled start was skipped: %s", line.slug, refusal)
        return None


def next_start(line: PolicyLine, *, now: datetime | None = None) -> datetime | None:
    """When the schedule fires next, in the line's own time zone; None while it is switched off.

    Compared in UTC: on the day that clocks go back, a wall time comes twice and the first one counts;
    on the day that they go forward, a time that does not exist comes an hour later.
    """
    if not line.schedule_enabled:
        return None
    zone = zoneinfo.ZoneInfo(line.schedule_time_zone)
    now = (now or timezone.now()).astimezone(UTC)
    today = now.astimezone(zone).date()
    days = _cron_days(line.schedule_days)
    for ahead in range(9):
        day = today + timedelta(days=ahead)
        at = datetime.combine(day, line.schedule_time, tzinfo=zone).astimezone(UTC)
        if at > now and (day.isoweekday() % 7) in days:
            return at.astimezone(zone)
    return None


def _cron_days(text: str) -> set[int]:
    """Cron's days of the week, 0 or 7 being Sunday."""
    if text.strip() == "*":
        return set(range(7))
    return {int(part) % 7 for part in text.split(",") if part.strip()}


def messages_purge() -> int:
    """Delete fetched messages of the database broker, which keeps them for ever otherwise."""
    if not settings.CELERY_BROKER_URL.startswith("sqla+"):
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('kombu_message')")
        if cursor.fetchone()[0] is None:
            return 0
        cursor.execute(
            "DELETE FROM kombu_message WHERE visible = false AND timestamp < %s",
            [timezone.now().replace(tzinfo=None) - timedelta(days=MESSAGE_DAYS)],
        )
        return int(cursor.rowcount)
