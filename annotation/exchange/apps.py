from __future__ import annotations

from django.apps import AppConfig

from web.panels import Link, register_link


class ExchangeConfig(AppConfig):
    name = "annotation.exchange"
    label = "exchange"

    def ready(self) -> None:
        register_link(
            Link(
                key="data",
                label="Data",
                url_name="exchange:data",
                roles=frozenset({"engineer", "lead"}),
                order=40,
            )
        )
