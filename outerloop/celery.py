"""The Celery application: `celery -A outerloop worker -Q gpu` and friends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, Task, signals
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "outerloop.settings.dev")

TRANSPORT_ALIASES["sqla"] = "outerloop.database_broker:Transport"

SILENT_SECONDS = 10.0


class HintTask(Task):  # type: ignore[misc] # celery has no types
    """A task whose message may be lost: after a broker was silent, nobody waits for it for a while.

    `apply_async` raises kombu's OperationalError then, at once, as it does for a broker that is away.
    """

    abstract = True
    silent_until = 0.0

    def apply_async(self, *args: Any, **options: Any) -> Any:
        if time.monotonic() < HintTask.silent_until:
            raise OperationalError("The broker was silent a moment ago; it is not asked yet.")
        try:
            return super().apply_async(*args, **options)
        except OperationalError:
            HintTask.silent_until = time.monotonic() + SILENT_SECONDS
            raise


app = Celery("outerloop", task_cls=HintTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def or_end(act: Callable[[], None]) -> None:
    """Do what a process needs before it works; where that cannot be had, the process ends with a sentence."""
    from django.db import ProgrammingError

    from training.facade import StoreMissing
    from web.outages import UNMIGRATED, database_retried, is_unmigrated

    try:
        database_retried(act, seconds=60)
    except StoreMissing as error:
        sys.exit(str(error))
    except ProgrammingError as error:
        if not is_unmigrated(error):
            raise
        sys.exit(UNMIGRATED)


def _broker_ready(**signal: Any) -> None:
    from outerloop.rounds.broker import broker_prepare

    or_end(broker_prepare)


def _store_ready(**signal: Any) -> None:
    """A worker of an installation that is older than the marker of its store makes it."""
    from training.facade import store_enter

    or_end(store_enter)


signals.celeryd_init.connect(_broker_ready)
signals.celeryd_init.connect(_store_ready)


def logging_set_up(**signal: Any) -> None:
    """Workers and the schedule log as Django's settings say, not as Celery would."""
    from django.conf import settings
    from django.utils.log import configure_logging

    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


signals.setup_logging.connect(logging_set_up)
