from __future__ import annotations

from django.apps import AppConfig


class ComparisonsConfig(AppConfig):
    name = "annotation.comparisons"
    label = "comparisons"

    def ready(self) -> None:
        from web import panels

        from .panels import START

        panels.register(START)
