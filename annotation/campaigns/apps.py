from __future__ import annotations

from django.apps import AppConfig

from web.registry import NavigationLink, register


class CampaignsConfig(AppConfig):
    name = "annotation.campaigns"
    label = "campaigns"

    def ready(self) -> None:
        from .events import KINDS
        from .setting_up import STEP

        staff = frozenset({"engineer", "lead"})
        register(
            NavigationLink("campaigns", "Campaigns", "campaigns:list", staff, 30), STEP, *KINDS
        )
