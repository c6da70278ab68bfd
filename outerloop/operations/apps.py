from __future__ import annotations

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "outerloop.operations"
    label = "operations"

    def ready(self) -> None:
        from .monitoring import signals  # noqa: F401 - connects itself
