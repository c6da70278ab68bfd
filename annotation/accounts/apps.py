from __future__ import annotations

from django.apps import AppConfig

from web.registry import NavigationLink, register


class AccountsConfig(AppConfig):
    name = "annotation.accounts"
    label = "accounts"

    def ready(self) -> None:
        from .setting_up import STEP

        leads = frozenset({"lead"})
        everyone = frozenset({"annotator", "adjudicator", "engineer", "lead"})
        register(
            STEP,
            NavigationLink("people", "People", "accounts:people", leads, 80),
            NavigationLink("tokens", "API tokens", "accounts:tokens", everyone, 85),
        )
