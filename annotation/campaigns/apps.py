from __future__ import annotations

from django.apps import AppConfig

from web.panels import Link, register_link


class CampaignsConfig(AppConfig):
    name = "annotation.campaigns"
    label = "campaigns"

    def ready(self) -> None:
        register_link(
            Link(
                key="campaigns",
                label="Campaigns",
                url_name="campaigns:list",
                roles=frozenset({"engineer", "lead"}),
                order=30,
            )
        )
