from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from web.registry import register


class RoundsConfig(AppConfig):
    name = "outerloop.rounds"
    label = "rounds"

    def ready(self) -> None:
        from .broker import broker_prepare_migrated
        from .panels import ADDED

        register(*ADDED)
        post_migrate.connect(broker_prepare_migrated, sender=self)
