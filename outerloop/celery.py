"""The Celery application: `celery -A outerloop worker -Q gpu` and friends."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "outerloop.settings.dev")

TRANSPORT_ALIASES["sqla"] = "outerloop.broker:Transport"

app = Celery("outerloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _broker_ready(**signal: Any) -> None:
    from outerloop.rounds.broker import broker_prepare
    from web.outages import database_retried

    database_retried(broker_prepare, seconds=60)


signals.celeryd_init.connect(_broker_ready)


def logging_set_up(**signal: Any) -> None:
    """Workers and the schedule log as Django's settings say, not as Celery would."""
    from django.conf import settings
    from django.utils.log import configure_logging

    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


signals.setup_logging.connect(logging_set_up)
