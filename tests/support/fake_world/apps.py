from __future__ import annotations

from django.apps import AppConfig


class FakeWorldConfig(AppConfig):
    """Puts `tests.support.fake_recipe` in place of every learning program, in whatever process starts."""

    name = "tests.support.fake_world"

    def ready(self) -> None:
        from tests.support.fake_runs import fake_command
        from training.runs import execution

        execution.child_command = fake_command
        execution.POLL_SECONDS = 0.05
