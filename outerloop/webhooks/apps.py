from __future__ import annotations

from django.apps import AppConfig

from web.registry import register


class WebhooksConfig(AppConfig):
    name = "outerloop.webhooks"
    label = "webhooks"

    def ready(self) -> None:
        from .listening import ADDED

        register(*ADDED)
