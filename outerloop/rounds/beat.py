"""The schedule that enters its own sweeper, so that no installation is without one."""

from __future__ import annotations

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from outerloop.celery import or_end

from .schedule import sweeper_ensure


class SweepingScheduler(DatabaseScheduler):  # type: ignore[misc] # celery has no types
    """django-celery-beat's, which reads its entries as soon as it is made."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        or_end(sweeper_ensure)
        super().__init__(*arguments, **options)
