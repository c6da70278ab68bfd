from __future__ import annotations

from django.apps import AppConfig

from .registry import EventKind, NavigationLink, register


class WebConfig(AppConfig):
    name = "web"
    label = "web"

    def ready(self) -> None:
        from .services import NOTICE_RAISED

        register(
            NavigationLink("audit", "Audit log", "web:audit", frozenset({"lead"}), 90),
            EventKind(NOTICE_RAISED, "The people of a line were told of something.", 50),
        )
