"""The Celery application: `celery -A outerloop worker -Q gpu` and friends."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "outerloop.settings.dev")

app = Celery("outerloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
