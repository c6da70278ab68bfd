from __future__ import annotations

from django.apps import AppConfig

from web.registry import NavigationLink, register


class QualityConfig(AppConfig):
    name = "annotation.quality"
    label = "quality"

    def ready(self) -> None:
        from .panels import QUESTIONS, RETURNED, SETTLING

        labellers = frozenset({"annotator", "adjudicator"})
        register(NavigationLink("work", "My work", "quality:own", labellers, 35))
        register(QUESTIONS, RETURNED, SETTLING)
