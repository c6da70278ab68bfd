from __future__ import annotations

from django.apps import AppConfig

from .registry import NavigationLink, register


class WebConfig(AppConfig):
    name = "web"
    label = "web"

    def ready(self) -> None:
        register(NavigationLink("audit", "Audit log", "web:audit", frozenset({"lead"}), 90))
