from __future__ import annotations

from django.apps import AppConfig

from web.registry import register


class ComparisonsConfig(AppConfig):
    name = "annotation.comparisons"
    label = "comparisons"

    def ready(self) -> None:
        from .panels import ANSWERS, START

        register(START, ANSWERS)
