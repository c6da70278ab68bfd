from __future__ import annotations

from django.apps import AppConfig

from web.panels import Link, register_link


class RunsConfig(AppConfig):
    name = "training.runs"
    label = "runs"

    def ready(self) -> None:
        register_link(
            Link(
                key="runs",
                label="Runs",
                url_name="runs:runs",
                roles=frozenset({"engineer"}),
                order=35,
            )
        )
