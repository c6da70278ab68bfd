from __future__ import annotations

from django.apps import AppConfig

from web.registry import NavigationLink, register


class RunsConfig(AppConfig):
    name = "training.runs"
    label = "runs"

    def ready(self) -> None:
        register(NavigationLink("runs", "Runs", "runs:runs", frozenset({"engineer"}), 35))
