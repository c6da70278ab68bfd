from __future__ import annotations

from django.apps import AppConfig

from web.registry import NavigationLink, register


class SelfTestConfig(AppConfig):
    name = "outerloop.selftest"
    label = "selftest"

    def ready(self) -> None:
        register(
            NavigationLink(
                "selftest", "Self-test", "selftest:report", frozenset({"engineer", "lead"}), 50
            )
        )
