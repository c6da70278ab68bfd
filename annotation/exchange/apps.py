from __future__ import annotations

from django.apps import AppConfig

from web.registry import NavigationLink, register


class ExchangeConfig(AppConfig):
    name = "annotation.exchange"
    label = "exchange"

    def ready(self) -> None:
        from .events import KINDS
        from .setting_up import STEP

        register(
            NavigationLink("data", "Data", "exchange:data", frozenset({"engineer", "lead"}), 40),
            STEP,
            *KINDS,
        )
