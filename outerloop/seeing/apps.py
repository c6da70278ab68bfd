from __future__ import annotations

from django.apps import AppConfig


class SeeingConfig(AppConfig):
    name = "outerloop.seeing"
    label = "seeing"

    def ready(self) -> None:
        from . import signals  # noqa: F401 - connects itself
