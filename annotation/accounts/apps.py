from __future__ import annotations

from django.apps import AppConfig

from web.registry import NavigationLink, register


class AccountsConfig(AppConfig):
    name = "annotation.accounts"
    label = "accounts"

    def ready(self) -> None:
        leads, staff = frozenset({"lead"}), frozenset({"engineer", "lead"})
        register(
            NavigationLink("people", "People", "accounts:people", leads, 80),
            NavigationLink("tokens", "API tokens", "accounts:tokens", staff, 85),
        )
