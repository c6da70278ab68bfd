"""`manage.py artifacts_send`: bring what lies in the folder of artifacts to the bucket of the settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training import facade as training


class Command(BaseCommand):
    help = "Send every artifact that the bucket of OUTERLOOP_ARTIFACT_STORE lacks from OUTERLOOP_ARTIFACTS."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.OUTERLOOP_ARTIFACT_STORE:
            raise CommandError(
                "OUTERLOOP_ARTIFACT_STORE is empty: artifacts are kept in OUTERLOOP_ARTIFACTS, and there is"
                " nowhere to send them."
            )
        try:
            sent = training.artifacts_send(self.stdout.write)
        except training.ArtifactMismatch as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Sent {sent:,} artifacts to {settings.OUTERLOOP_ARTIFACT_STORE}.")
