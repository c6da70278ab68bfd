from __future__ import annotations

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "outerloop.demo"
    label = "demo"

    def ready(self) -> None:
        from outerloop.rounds.slots import LineAction, register_line_action

        register_line_action(
            LineAction(
                label="What the gate is for",
                url_name="demo:overoptimise",
                confirm="Start a round without KL control? Its own reward will rise while the answers get worse.",
                shown=lambda line: line.simulated,
            )
        )
