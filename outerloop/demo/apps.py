from __future__ import annotations

from django.apps import AppConfig

from web.registry import LineAction, register


class DemoConfig(AppConfig):
    name = "outerloop.demo"
    label = "demo"

    def ready(self) -> None:
        register(
            LineAction(
                key="overoptimise",
                label="What the gate is for",
                url_name="demo:overoptimise",
                confirm="Start a round without KL control? Its own reward will rise while the answers get worse.",
                simulated_only=True,
            )
        )
