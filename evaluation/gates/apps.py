from __future__ import annotations

from django.apps import AppConfig

from web.registry import EventKind, PolicyVoice, register


class GatesConfig(AppConfig):
    name = "evaluation.gates"
    label = "gates"

    def ready(self) -> None:
        from .serving.voice import voice_ask

        register(
            PolicyVoice("gates.policy_server", voice_ask),
            EventKind("deployment.changed", "Another policy is the line's deployed one.", 20),
            EventKind("deployment.rolled_back", "An earlier policy is deployed again.", 21),
        )
