from __future__ import annotations

from dataclasses import replace

from django.apps import AppConfig


class FakeWorldConfig(AppConfig):
    """Puts `tests.support.fake_recipe` in place of every learning program and `fake_server` in place of the
    policy's, which could not load what such programs write, and makes the quick demo quicker."""

    name = "tests.support.fake_world"

    def ready(self) -> None:
        from evaluation.gates.serving import engine
        from outerloop.demo import settings
        from tests.support.fake_runs import fake_command
        from tests.support.fake_server import server_command
        from training.runs import execution

        settings.QUICK = replace(
            settings.QUICK, prompts=600, labels_per_round=120, gate_label_budget=100
        )
        execution.child_command = fake_command
        execution.POLL_SECONDS = 0.05
        engine._command = server_command
