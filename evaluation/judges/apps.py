from __future__ import annotations

from django.apps import AppConfig


class JudgesConfig(AppConfig):
    name = "evaluation.judges"
    label = "judges"
