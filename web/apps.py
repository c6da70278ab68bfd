from __future__ import annotations

from django.apps import AppConfig

from . import panels


class WebConfig(AppConfig):
    name = "web"
    label = "web"

    def ready(self) -> None:
        panels.register_link(
            panels.Link(
                key="audit",
                label="Audit log",
                url_name="web:audit",
                roles=frozenset({"lead"}),
                order=90,
            )
        )
