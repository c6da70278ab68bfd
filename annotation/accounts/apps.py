from __future__ import annotations

from django.apps import AppConfig

from web.panels import Link, register_link


class AccountsConfig(AppConfig):
    name = "annotation.accounts"
    label = "accounts"

    def ready(self) -> None:
        register_link(
            Link(
                key="people",
                label="People",
                url_name="accounts:people",
                roles=frozenset({"lead"}),
                order=80,
            )
        )
        register_link(
            Link(
                key="tokens",
                label="API tokens",
                url_name="accounts:tokens",
                roles=frozenset({"engineer", "lead"}),
                order=85,
            )
        )
