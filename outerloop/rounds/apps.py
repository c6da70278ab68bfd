from __future__ import annotations

from django.apps import AppConfig


class RoundsConfig(AppConfig):
    name = "outerloop.rounds"
    label = "rounds"

    def ready(self) -> None:
        from .panels import register_panels
        from .slots import fill_slots

        register_panels()
        fill_slots()
